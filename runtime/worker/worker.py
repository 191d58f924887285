"""The worker of one group: it consumes the group's queues and runs the tasks.

The thread that calls `run` is the only one to touch the network: it receives, replies,
acknowledges and keeps the heartbeats going. The task threads run tasks and nothing else, so that a
long one never costs the connection. Between them are two queues, and a waker for the way back.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeVar

from routewright.runtime.api.app import App
from routewright.runtime.errors import (
    BrokerUnreachable,
    LoginRefused,
    MissingQueue,
    TimeLimitExceeded,
)
from routewright.runtime.messages.delivery_limit import DELIVERY_LIMIT, times_given_back
from routewright.runtime.messages.events import node_name
from routewright.runtime.messages.outcome import Outcome
from routewright.runtime.results.progress import reporting
from routewright.runtime.router.route import Group
from routewright.runtime.sending.delaying import early
from routewright.runtime.transport.broker import LinkLost
from routewright.runtime.transport.consumer import Consumer, Delivery
from routewright.runtime.transport.waker import Waker
from routewright.runtime.worker.announcer import Announcer
from routewright.runtime.worker.crash_counts import Post
from routewright.runtime.worker.departures import Departures
from routewright.runtime.worker.follow_up import follow
from routewright.runtime.worker.group_queues import GroupQueues
from routewright.runtime.worker.limits import Limited, Limits
from routewright.runtime.worker.not_yet_due import Waiting
from routewright.runtime.worker.perform import Performer, given_up
from routewright.runtime.worker.redeliveries import Redeliveries
from routewright.runtime.worker.settlement import Settlement, Word
from routewright.runtime.worker.startup_checks import accepted, check_code

BACKOFF = (0.5, 30.0)  # seconds; the first pause between two attempts at connecting, and the last
STEADY = 5.0  # seconds; a connection that lasts as long was a good one, and the pauses start anew

HOLD = timedelta(seconds=5)  # what is due within it is held here; clocks differ by less
LONG_HOLD = timedelta(minutes=10)  # the same without a broker that delays; Redis gives us an hour

LAST_TRIES = DELIVERY_LIMIT - 2  # deliveries of a quorum queue; two more may fail before it drops

T = TypeVar("T")

logger = logging.getLogger("routewright.worker")


class Worker:
    """Runs the tasks that arrive in the queues of one group.

    A message is acknowledged when its task is over and its result is sent; a worker that dies
    before that leaves the message to another, so a task may run more than once.

    Args:
        app: whose tasks to run, and whose broker to consume from.
        group: the queues, how many tasks to run at a time, and how many messages each queue's
            consumer holds.
        grace: seconds that running tasks are given to finish after `stop`.
        post: where to report what runs, in a process whose death is looked into.
        patient: wait for what is missing at the start, as after a lost connection.
        node: its name in events, `NAME@HOST`; the group's name at this host unless it is given.
    """

    def __init__(
        self,
        app: App,
        group: Group,
        *,
        grace: float = 30.0,
        post: Post | None = None,
        patient: bool = False,
        node: str | None = None,
    ) -> None:
        accept = accepted(group)  # first: it may raise
        self.app = app
        self.group = group
        self.grace = grace
        self._ready: SimpleQueue[Delivery | None] = SimpleQueue()
        self._done: SimpleQueue[Settlement] = SimpleQueue()
        self._unsettled = 0  # deliveries that have not come back from the task threads
        self._stopping = False
        self._deadline: float | None = None  # when running tasks are cut off, once we stop
        self._asleep = True
        self._connected_once = patient
        self._pause = BACKOFF[0]
        self._waker = Waker()
        self._progress = app.results.progress(self._waker.wake, track_started=app.track_started)
        self._waiting = Waiting()
        self._redeliveries = Redeliveries()
        self._allowed = 0
        self._hold = HOLD if app.broker.is_amqp else LONG_HOLD
        self._limits = Limits(self._give_up, self._waker.wake)
        self._events = None
        if app.router.events:
            self._events = Announcer(app.broker, node or node_name(group.name))
        self._performer = Performer(
            app,
            accept,
            acknowledge=self._acknowledge,
            limits=self._limits,
            post=post,
            events=self._events,
        )
        self._departures = Departures(self._hand_back)
        self._queues = GroupQueues(
            group.queues,
            on_order=self._departures.tell if app.broker.is_amqp else None,
            patient=patient,
        )
        self._is_replaceable = post is not None
        self.worn = False  # a task that was given up may still take up a thread

    def stop(self) -> None:
        """Make `run` stop consuming, wait for the running tasks and return.

        It may be called from another thread or from a signal handler.
        """
        self._stopping = True
        self._waker.wake()

    def run(self) -> None:
        """Consume until `stop` is called; reconnect for as long as it takes.

        Raises:
            WorkerUsageError: the app has the code of no task that comes to the group.
            MissingQueue: a queue does not exist at the start. (Later, it is waited for.)
            LoginRefused: the broker refuses the user or the virtual host at the start. (Likewise.)
        """
        logger.info(
            "group %s: queues %s; %d at a time; broker %s",
            self.group.name,
            ", ".join(self.group.queues),
            self.group.concurrency,
            self.app.broker.name,
        )
        try:
            check_code(self.app, self.group)
            if self._events is not None:
                self._events.start()
            for number in range(self.group.concurrency):
                self._start_thread(number)
            while not self._stopping:
                consumer = self._connect()
                if consumer is None:
                    break
                connected = monotonic()
                self._use(consumer)
                if monotonic() - connected >= STEADY:
                    self._pause = BACKOFF[0]
                else:
                    self._back_off()
            self._outlast()
        finally:
            for _ in range(self.group.concurrency):
                self._ready.put(None)
            self._waker.close()
            if self._events is not None:
                self._events.stop()
        logger.info("group %s: stopped", self.group.name)

    def _connect(self) -> Consumer | None:
        while not self._stopping:
            try:
                consumer = Consumer(
                    self.app.broker,
                    self._receive,
                    self._queues.subscribe,
                    waker=self._waker,
                    prefetch=self.group.prefetch,
                )
            except (BrokerUnreachable, MissingQueue, LinkLost) as error:
                if isinstance(error, (LoginRefused, MissingQueue)) and not self._connected_once:
                    raise
                logger.error("%s; next attempt in %g s", error, self._pause)  # noqa: TRY400  one line each
                self._back_off()
            else:
                self._connected_once = True
                logger.info("connected to %s", self.app.broker.name)
                if missing := self._queues.missing:
                    logger.error("without queue %s, which is missing", ", ".join(missing))
                return consumer
        return None

    def _back_off(self) -> None:
        """Pause, the next time for longer; task threads that finish do not cut it short."""
        deadline = monotonic() + self._pause
        self._pause = min(self._pause * 2, BACKOFF[1])
        while not self._stopping and (remaining := deadline - monotonic()) > 0:
            self._limits.look()
            self._waker.wait(self._limits.patience(remaining))

    def _use(self, consumer: Consumer) -> None:
        """Serve until told to stop, then wind down; or until the connection is lost."""
        self._allowed = 0
        try:
            while not self._stopping:
                self._settle(consumer)
                if self._departures:
                    self._departures.look(self._queues)
                self._release(consumer)
                self._queues.look_for_missing()
                self._limits.look()
                patience = consumer.patience(busy=self._unsettled > 0)
                self._wait(consumer, self._limits.patience(self._waiting.patience(patience)))
            self._wind_down(consumer)
        except LinkLost as error:
            # What it delivered will be delivered again; tasks that run on cannot be acknowledged.
            self._waiting = Waiting()
            self._withdraw_ready()
            self._departures.forget()
            logger.warning(
                "lost the connection to %s with %d messages unsettled: %s",
                self.app.broker.name,
                self._unsettled,
                error,
            )
            consumer.discard()
        except BaseException:
            consumer.discard()
            raise
        else:
            consumer.close()

    def _wind_down(self, consumer: Consumer) -> None:
        # First what waits in here, lest a task thread start it; then the same for what arrives
        # until the broker has heard that we stop. Only then is there time to wait.
        handed_back = self._hand_back(consumer)
        consumer.cancel()
        handed_back += self._hand_back(consumer)
        self._settle(consumer)
        if self._departures:
            self._departures.look(self._queues)
        logger.info(
            "stopping: %d messages handed back, %d tasks running", handed_back, self._unsettled
        )
        while self._unsettled and (remaining := self._left()) > 0:
            self._limits.look()
            patience = self._limits.patience(consumer.patience(busy=True))
            self._wait(consumer, min(patience, remaining))
            self._settle(consumer)
            if self._departures:
                self._departures.look(self._queues)
        if self._unsettled:
            logger.warning(
                "%d tasks still run after %g s; they will run again elsewhere",
                self._unsettled,
                self.grace,
            )

    def _left(self) -> float:
        """Seconds that are left of the grace period, which begins with the first call."""
        if self._deadline is None:
            self._deadline = monotonic() + self.grace
        return self._deadline - monotonic()

    def _outlast(self) -> None:
        """Without a connection, let the running tasks finish: some were acknowledged early."""
        self._asleep = True
        while True:
            while (settlement := _next(self._done)) is not None:
                self._unsettled -= settlement.ends
            if not self._unsettled or (remaining := self._left()) <= 0:
                return
            self._limits.look()
            self._waker.wait(self._limits.patience(remaining))

    def _receive(self, delivery: Delivery) -> None:
        if delivery.redelivered and self._is_known(delivery):
            return
        if self._events is not None:
            self._events.received(delivery.envelope.headers)
        due = early(delivery.envelope.headers)
        if due is not None:
            longest = datetime.now(UTC) + self._hold
            if due <= longest or not self.app.broker.is_amqp:
                self._waiting.hold(delivery, min(due, longest))
                return
        self._start(delivery)

    def _is_known(self, delivery: Delivery) -> bool:
        """Deals with a message that came back, unless its task is to run now."""
        if self._redeliveries.is_running(delivery):
            return True
        owed = self._redeliveries.owed(delivery)
        if owed is not None:
            self._unsettled += 1
            self._owe(owed)
            return True
        failed = times_given_back(delivery.envelope.headers, redelivered=True)
        if failed < LAST_TRIES or delivery.queue in self.app.router.limited:
            return False
        self._unsettled += 1

        def park() -> None:
            self._owe(self._performer.exhausted(delivery, failed))

        # At once, whatever the task threads are busy with; there are no more than the prefetch.
        threading.Thread(target=park, name="parking", daemon=True).start()
        return True

    def _start(self, delivery: Delivery) -> None:
        """Hands a delivery to the task threads."""
        self._redeliveries.started(delivery)
        self._unsettled += 1
        self._ready.put(delivery)

    def _withdraw_ready(self) -> None:
        """Takes back all that no task thread has begun: its connection is lost."""
        while (delivery := _next(self._ready)) is not None:
            self._redeliveries.withdrawn(delivery)
            self._unsettled -= 1

    def _release(self, consumer: Consumer) -> None:
        """Let the tasks run whose time has come, and make room for as many as still wait."""
        for delivery in self._waiting.over():
            self._start(delivery)
        if len(self._waiting) != self._allowed:
            self._allowed = len(self._waiting)
            consumer.allow(self._allowed)

    def _hand_back(self, consumer: Consumer, queue: str | None = None) -> int:
        """Give back what has not begun, of one queue or of all; how many messages that was."""
        meant: list[Delivery] = []
        kept: list[Delivery] = []
        while (delivery := _next(self._ready)) is not None:
            (meant if _is_from(queue, delivery, consumer) else kept).append(delivery)
        self._unsettled -= len(meant)
        for delivery in meant:
            self._redeliveries.withdrawn(delivery)
        for delivery in kept:
            self._ready.put(delivery)
        meant += self._waiting.take(lambda it: _is_from(queue, it, consumer))
        for delivery in meant:
            consumer.reject(delivery, requeue=True)
        return len(meant)

    def _settle(self, consumer: Consumer) -> None:
        """Reply, then acknowledge: the other way round, a crash between them loses the result."""
        for reply_to, envelope in self._progress.due():
            if reply_to is not None:
                consumer.publish(reply_to, envelope)
        while (settlement := _next(self._done)) is not None:
            if settlement.ends:
                self._unsettled -= 1
            if settlement.word is Word.UNBEGUN:
                copy = self._redeliveries.withdrawn(settlement.delivery)
                if copy is not None:
                    self._start(copy)
                continue
            if settlement.reply is not None and settlement.reply_to is not None:
                consumer.publish(settlement.reply_to, settlement.reply)
            for each in self._redeliveries.settled(settlement):
                self._tell(consumer, each)

    def _tell(self, consumer: Consumer, settlement: Settlement) -> None:
        """Tells the broker what becomes of a message, unless its connection was lost."""
        delivery = settlement.delivery
        match settlement.word:
            case Word.ACK:
                consumer.ack(delivery)
            case Word.REJECT:
                consumer.reject(delivery, requeue=False)
            case Word.HOLD if delivery.source is consumer and consumer.has_left(delivery):
                consumer.reject(delivery, requeue=True)
            case Word.HOLD if delivery.source is consumer and settlement.until is not None:
                self._waiting.hold(delivery, settlement.until)

    def _start_thread(self, number: int) -> None:
        # A daemon: a task that outlives the grace period must not keep the process.
        threading.Thread(
            target=self._work, args=(number,), name=f"task-{number}", daemon=True
        ).start()

    def _work(self, number: int) -> None:
        """A task thread: run what is ready, hand back what came of it."""
        reporting.set(self._progress)
        while (delivery := self._ready.get()) is not None:
            if delivery.source.lost:  # the broker gives it to somebody else
                settlement: Settlement | None = Settlement(delivery, Word.UNBEGUN)
            else:
                settlement = self._perform(delivery, number)
            if settlement is None:
                return  # another thread has taken its place
            self._owe(settlement)

    def _perform(self, delivery: Delivery, number: int) -> Settlement | None:
        try:
            settlement = self._performer.perform(delivery, number)
            return settlement and self._keep(settlement)
        except BaseException:
            logger.exception("a message of queue `%s` could not be handled", delivery.queue)
            if delivery.acknowledged:
                return Settlement(delivery, Word.SAID)
            return Settlement(delivery, Word.HOLD, until=datetime.now(UTC) + HOLD)

    def _keep(self, settlement: Settlement) -> Settlement:
        """Store a result, where results are stored; what is owed then."""
        if settlement.reply is not None and self.app.results.keep(settlement.reply):
            return replace(settlement, reply=None)
        return settlement

    def _owe(self, settlement: Settlement) -> None:
        self._done.put(settlement)
        if self._asleep:
            self._asleep = False  # one call wakes it, and what others put meanwhile it will find
            self._waker.wake()

    def _wait(self, consumer: Consumer, timeout: float) -> None:
        """Wait for the network or for a task thread, whichever has something first."""
        self._asleep = True  # before the look: what is put later wakes us
        consumer.wait(timeout if self._done.empty() else 0.0)
        self._asleep = False

    def _acknowledge(self, delivery: Delivery) -> None:
        """A message is done with before its task begins."""
        self._owe(Settlement(delivery, Word.ACK, ends=False))

    def _give_up(self, late: Limited) -> None:
        """A task has run for too long: another thread takes the place of its own."""
        problem = f"it still ran after its time limit, on thread {late.thread}"
        error = TimeLimitExceeded(problem)
        settlement = given_up(late.delivery, late.message, error)
        if self._events is not None:
            self._events.failed(late.message.id, error, None)

        def tell() -> None:
            self._owe(self._keep(settlement))
            if late.message.sequels:
                follow(self.app, late.message, Outcome.error(late.message.id, error))

        # By a thread that may wait, which this one, the network's, may not.
        threading.Thread(target=tell, name="given-up", daemon=True).start()
        self.worn = True
        if self._is_replaceable:
            self.stop()
        self._start_thread(late.number)


def _is_from(queue: str | None, delivery: Delivery, consumer: Consumer) -> bool:
    return queue is None or consumer.is_from(queue, delivery)


def _next(queue: SimpleQueue[T]) -> T | None:
    try:
        return queue.get_nowait()
    except Empty:
        return None
