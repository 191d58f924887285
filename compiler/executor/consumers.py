"""Clears a queue of its consumers: workers are told to move, others are named and waited for.

How many consumers a queue has, the broker says exactly over AMQP. Who they are, only its management
API says, up to five seconds late; and of messages that a channel holds whose consumer is gone, only
the API's statistics tell, which are as old. Workers therefore answer for themselves.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import suppress
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from amqp import Message
from amqp.exceptions import AMQPError

from routewright.compiler.broker.amqp_calls import NOT_FOUND, refusal
from routewright.compiler.broker.errors import StillInUse
from routewright.compiler.broker.inspect import unacknowledged
from routewright.compiler.broker.management import Management
from routewright.compiler.model.topology import Queue
from routewright.compiler.plan.changes import Release
from routewright.compiler.plan.progress import WAIT, OnWait
from routewright.compiler.planner.replace_queue import GOES_WITH_CONSUMERS
from routewright.runtime.messages.orders import ANSWERS, WORKER, Order, worker_of

STALE = 6.0  # seconds after which a statistic is of a time that is past by now
_LOOK = 0.3  # seconds between two looks
_SLICE = 0.05  # seconds for which an answer is listened for at a time
_ASK = 5.0  # seconds that a worker has to say what it consumes
_MOST_NAMED = 5


class Consumers:
    """The consumers of queues that are to be replaced.

    Args:
        channel: an open channel of kombu's.
        api: the management API of the same broker.
        wait: seconds that they are waited for, each time.
        on_wait: told of what is waited for.
    """

    def __init__(
        self, channel: Any, api: Management, wait: float = WAIT, on_wait: OnWait | None = None
    ) -> None:
        self._channel, self._api, self._wait = channel, api, wait
        self._on_wait = on_wait or (lambda _queue, _who: None)
        self._post = _Post(channel)
        self._problems: dict[str, str] = {}  # what a worker last gave as a reason not to move
        self._unaccounted: dict[str, float] = {}  # when those who do not answer were last there

    def wait_for_others(self, queues: Collection[Queue]) -> None:
        """Wait until nobody but workers consumes some queues.

        Raises:
            StillInUse: somebody does, and goes on; it says who.
        """
        deadline = monotonic() + self._wait
        for queue in queues:
            try:
                self._need_lasting(queue, ": nothing was changed")
                while others := self._others(queue):
                    self._unaccounted[queue.name] = monotonic()
                    self._need_time(deadline, queue.name, others, ": nothing was changed")
                    for it in queues:
                        self._count(it.name)  # which keeps one with `x-expires` from expiring
            except (AMQPError, OSError) as error:
                raise refusal(error, f"the consumers of queue `{queue.name}`") from error

    def release(self, change: Release) -> bool:
        """Have a queue left by its consumers, and all that they had of it settled.

        Returns whether there was anybody.

        Raises:
            StillInUse: somebody stays; it says who.
        """
        name, deadline = change.queue.name, monotonic() + self._wait
        was_used, puzzled = False, False
        self._need_lasting(change.queue)
        while self._count(name) is not None:
            told, problems = self._tell(change, deadline)
            count = self._count(name) or 0
            if not count:
                break
            was_used = True
            others = [*self._strangers(name), *problems]
            if others or puzzled:
                self._unaccounted[name] = monotonic()
            # A worker that has just begun is told the next time; the others have left by then.
            puzzled = not others and self._workers() <= told
            self._need_time(deadline, name, others or [_unlisted(count)])
        if name not in self._unaccounted and self._unacknowledged(name):
            self._unaccounted[name] = monotonic()  # perhaps of who consumes no more, but goes on
        if name in self._unaccounted:
            self._need_settled(change.queue)
        return was_used

    def _tell(self, change: Release, deadline: float) -> tuple[set[str], list[str]]:
        """Tell all workers to move, and wait for their answers; who they are, and what problems.

        One that left the queue earlier may still have messages of it, so that none is left out.
        """
        post, order = self._post, Order(change.queue.name, change.destination.name)
        told: set[str] = set()
        looked = 0.0
        post.answers.clear()
        while True:
            if monotonic() - looked >= _LOOK:
                looked, workers = monotonic(), self._workers()
                for name in workers - told:
                    post.send(name, order)
                told |= workers
                if gone := told - workers - post.answers.keys():
                    self._unaccounted[order.queue] = monotonic()  # what it had comes back, unseen
                    told -= gone
            waiting = told - post.answers.keys()
            if not waiting:
                break
            listed = [self._named(it) for it in sorted(waiting)]
            self._need_time(deadline, order.queue, listed, pause=0.0)
            post.hear(_SLICE)
        problems = {
            it: str(found["error"]) for it, found in post.answers.items() if "error" in found
        }
        self._problems |= problems
        return told, [self._named(it) for it in sorted(problems)]

    def _named(self, worker: str) -> str:
        problem = self._problems.get(worker)
        return f"worker {worker.removeprefix(WORKER)}" + (f" ({problem})" if problem else "")

    def _others(self, queue: Queue) -> list[str]:
        """The consumers of a queue that are no workers, each by a name."""
        if not self._count(queue.name):
            return []
        post, asked = self._post, self._workers()
        post.answers.clear()
        for name in asked:
            post.send(name, Order(queue.name))
        until = monotonic() + _ASK
        while silent := asked - post.answers.keys():
            post.hear(_SLICE)
            if monotonic() >= until or not silent & self._workers():
                break
        ours = sum(_consumes(it, queue) for it in post.answers.values())
        strangers = [*self._strangers(queue.name)]
        unknown = (self._count(queue.name) or 0) - ours - len(silent) - len(strangers)
        return [*strangers, *([_unlisted(unknown)] if unknown > 0 else [])]

    def _need_settled(self, queue: Queue) -> None:
        """Wait until nothing of a queue is unacknowledged, by a statistic that is new enough."""
        name = queue.name
        fresh = self._unaccounted[name] + STALE
        deadline = max(fresh, monotonic()) + self._wait
        while True:
            left = self._unacknowledged(name)
            self._count(name)  # which keeps a queue with `x-expires` from expiring
            if monotonic() >= fresh:
                if not left:
                    break
                said = f"{left} message{' that is' if left == 1 else 's that are'} not acknowledged"
                self._need_time(deadline, name, [said])
            else:
                self._need_time(deadline, name, ["the broker's count of what is unacknowledged"])
        del self._unaccounted[name]

    def _need_time(
        self, deadline: float, queue: str, who: Collection[str], end: str = "", pause: float = _LOOK
    ) -> None:
        """Wait for a moment, unless it is too late."""
        listed = ", ".join([*who][:_MOST_NAMED])
        more = len(who) - _MOST_NAMED
        listed += f" and {more} more" if more > 0 else ""
        if monotonic() >= deadline:
            raise StillInUse(
                f"queue `{queue}` is still in use after {self._wait:g} s, by {listed}{end}; stop "
                "that, or wait longer (--wait SECONDS), and apply again"
            )
        self._on_wait(queue, listed)
        if pause:
            self._post.listen(pause)

    def _need_lasting(self, queue: Queue, end: str = "") -> None:
        """See that a queue does not go with its consumers."""
        if queue.auto_delete and self._count(queue.name):
            raise StillInUse(f"queue `{queue.name}` stays{end}; {GOES_WITH_CONSUMERS}")

    def _count(self, queue: str) -> int | None:
        """How many consumers a queue has at this moment; None where it is not there."""
        try:
            return int(self._channel.queue_declare(queue, passive=True).consumer_count)
        except AMQPError as error:
            if error.reply_code == NOT_FOUND:
                return None
            raise refusal(error, f"queue `{queue}`") from error

    def _strangers(self, queue: str) -> Iterator[str]:
        """The consumers that the API lists and that are no workers, each by a name."""
        for it in self._api.of_vhost("consumers"):
            if it["queue"]["name"] == queue and worker_of(it["consumer_tag"]) is None:
                details = it["channel_details"] or {}  # an empty list, where there are none
                connection = details.get("connection_name") or "a connection"
                yield f"{connection} (consumer `{it['consumer_tag']}`)"

    def _workers(self) -> set[str]:
        """The queues of all workers; these the API lists as they are at this moment."""
        pattern = f"^{WORKER}".replace(".", "[.]")
        rows = self._api.pages("queues", name=pattern, use_regex="true", columns="name")
        return {it["name"] for it in rows}

    def _unacknowledged(self, queue: str) -> int:
        return unacknowledged(self._api, queue).get(queue, 0)


class _Post:
    """Tells workers things over the default exchange, and takes their answers.

    It has a channel and a queue from the first that it tells on.
    """

    def __init__(self, beside: Any) -> None:
        self.answers: dict[str, dict[str, Any]] = {}  # by the worker's queue
        self._connection = beside.connection
        self._channel: Any = None
        self._queue = f"{ANSWERS}{uuid4()}"
        self._asked: dict[str, str] = {}  # the last correlation id, by the worker's queue

    def _open(self) -> Any:
        channel = self._connection.channel()
        try:
            channel.queue_declare(self._queue, exclusive=True, durable=False)
            channel.basic_consume(self._queue, no_ack=True, callback=self._take)
        except AMQPError as error:
            raise refusal(error, f"queue `{self._queue}`") from error
        channel.events["basic_return"].add(lambda *_: None)  # who is gone is listed no more, either
        return channel

    def send(self, worker: str, order: Order) -> None:
        """Tell a worker something; an answer to what it was told before counts no more."""
        if self._channel is None:
            self._channel = self._open()
        number = str(uuid4())
        self._asked[worker] = number
        self.answers.pop(worker, None)
        message = Message(
            order.encode(),
            content_type="application/json",
            reply_to=self._queue,
            correlation_id=number,
        )
        self._channel.basic_publish(message, exchange="", routing_key=worker, mandatory=True)

    def hear(self, seconds: float) -> None:
        """Take what comes first within a time."""
        if self._channel is None:  # nobody was told anything
            sleep(seconds)
            return
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=seconds)

    def listen(self, seconds: float) -> None:
        """Take all that comes within a time."""
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            self.hear(left)

    def _take(self, message: Any) -> None:
        number = message.properties.get("correlation_id")
        workers = [name for name, asked in self._asked.items() if asked == number]
        try:
            found = json.loads(message.body)
        except ValueError:
            found = None
        for worker in workers:
            known = isinstance(found, dict)
            self.answers[worker] = found if known else {"error": "its answer cannot be read"}


def _consumes(answer: dict[str, Any], queue: Queue) -> bool:
    """Whether a worker is one of the consumers that the broker counts.

    In a quorum queue a consumer that is cancelled counts until all it had is settled.
    """
    return bool(answer.get("consumes") or (queue.type == "quorum" and answer.get("holds")))


def _unlisted(count: int) -> str:
    return f"{count} consumer{'' if count == 1 else 's'} that the broker does not list yet"
