"""The queues of a worker's group: which of them are consumed, and which queues stand in for others.

What is consumed later than at the start has a channel of its own, on which a refusal harms nothing
else. And RabbitMQ 3.10 must not be asked on the same channel for a queue that was there before
under that name: where it was a quorum queue and is none now, the channel and its connection end.

While a queue is replaced another one stands in for it. What comes from there is shown under the
name of the group's queue, which is the name that routes, parking and the sender know.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from time import monotonic

from routewright.runtime.messages.orders import (
    STAND_IN,
    Order,
    can_have_stand_in,
    replaced_queue,
    stand_in_of,
)
from routewright.runtime.transport.consumer import Consumer
from routewright.runtime.worker.absences import AWAY, Absences
from routewright.runtime.worker.mailbox import Mailbox

LOOK = 5.0  # seconds between two looks for queues that are missing

logger = logging.getLogger("routewright.consumer")


class GroupQueues:
    """Keeps a consumer on the queues of a group, or on what stands in for them.

    It outlives the connection: each new consumer calls `subscribe`.

    Args:
        queues: the group's.
        on_order: called with each order to leave a queue; None where no orders can come, as over
            a virtual transport.
        patient: consume the queues that exist, and leave the others in `missing`. After the first
            connection it is always so.
    """

    def __init__(
        self, queues: Sequence[str], *, on_order: Callable[[Order], None] | None, patient: bool
    ) -> None:
        self.missing: list[str] = []
        self.consumer: Consumer
        self._queues = tuple(queues)
        self._own = frozenset(queues)
        self._on_order = on_order
        self._patient = patient
        self._instead: dict[str, str] = {}  # the group's queue, by each that is consumed instead
        self._absences = Absences()
        self._left: dict[str, float] = {}  # when each queue of the group was left
        self._looked = monotonic()

    def subscribe(self, consumer: Consumer) -> None:
        """Consumes what there is, with a new consumer.

        Raises:
            LinkLost: the connection broke, or a queue is missing and we are not patient.
        """
        self.consumer = consumer
        self.missing = []
        self._left = {}
        self._looked = monotonic()
        if self._on_order is not None:
            mailbox = Mailbox(consumer.open_channel(), self._on_order)
            if mailbox.name:
                consumer.tag_prefix = f"{mailbox.name}/"  # by which it is told
        for queue in self._present(self._queues):
            home = self._home(queue)
            consumer.consume(queue, shown_as=home, on_cancel=self._on_cancel)
            if queue == home:
                self._absences.end(home)
        self._patient = True

    def _present(self, queues: Sequence[str]) -> list[str]:
        """Returns the queues that can be consumed; for the others what stands in is consumed."""
        there = self.consumer.existing(queues)
        absent = [queue for queue in queues if queue not in there]
        for other in self._others(queues, absent):
            self._consume_apart(other)
        helped = {self._home(queue) for queue in self.consumer.consumed}
        for queue in absent:
            if queue in helped:
                logger.warning("queue `%s` is missing, and another one stands in", queue)
            elif not self._patient:
                there.append(queue)  # the broker will say that it is not there
        self.missing = [queue for queue in queues if queue not in there]
        return there

    def _others(self, queues: Sequence[str], absent: Iterable[str]) -> list[str]:
        """Returns what may be there to be consumed for some queues, and is not consumed yet."""
        told = [it for it, home in self._instead.items() if home in queues]
        found = dict.fromkeys([*told, *map(stand_in_of, absent)])
        return [queue for queue in found if queue not in self.consumer.consumed]

    def look_for_missing(self) -> None:
        """From time to time, consumes the missing queues that are there again.

        A queue that was left long ago counts as missing. Whoever had it left may have died since,
        and nobody consumes what is published there.

        Raises:
            LinkLost: the connection broke.
        """
        if self._left:
            self._miss_what_was_left()
        if not self.missing or monotonic() - self._looked < LOOK:
            return
        self._looked = monotonic()
        before = set(self.missing)
        for queue in self._present(tuple(before)):
            if self._consume_apart(queue):
                self.missing.append(queue)
        for queue in sorted(before.difference(self.missing)):
            logger.info("queue `%s` is there again", queue)

    def _miss_what_was_left(self) -> None:
        late = [it for it, when in self._left.items() if monotonic() - when >= AWAY]
        for queue in late:
            del self._left[queue]
            if queue not in self.consumer.consumed:
                self._miss(queue)

    def _miss(self, queue: str) -> None:
        if queue not in self.missing:
            self.missing.append(queue)

    def objection(self, queue: str, other: str) -> str | None:
        """Returns why an order to leave a queue for another one is refused; None if it is obeyed.

        Orders come to all workers. What a worker does not consume, it has left already.
        """
        home = replaced_queue(queue, other)
        if home is None:
            return f"neither of `{queue}` and `{other}` stands in for the other"
        if queue not in self.consumer.consumed:
            return None
        if home not in self._own:
            return f"queue `{home}` is not one of the worker's group"
        if not can_have_stand_in(home):
            return f"the name of queue `{home}` leaves no room for that of a queue to stand in"
        pause = self._absences.pause(home) if queue == home else 0.0
        if pause:
            return (
                f"queue `{home}` was left for too long or too often; try again in {ceil(pause)} s"
            )
        return None

    def join(self, other: str, instead_of: str) -> str | None:
        """Consumes another queue for one that is to be left. Returns the broker's objection if any.

        Raises:
            LinkLost: the connection broke.
        """
        if other in self.consumer.consumed:
            return None
        home = self._home(instead_of)
        if other != home:
            self._instead[other] = home
        problem = self._consume_apart(other)
        if problem:
            self._instead.pop(other, None)
        elif other == home:
            self._left.pop(home, None)
            self.missing = [queue for queue in self.missing if queue != home]
        return problem

    def leave(self, queue: str) -> None:
        """Receives no more from a queue; what came from it may still be settled.

        Raises:
            LinkLost: the connection broke.
        """
        home = self._home(queue)
        self.consumer.leave(queue)
        self._instead.pop(queue, None)
        if queue == home:
            self._left[home] = monotonic()
            self._absences.begin(home)

    def _home(self, queue: str) -> str:
        """Returns the group's queue that another one is consumed for."""
        if queue in self._instead:
            return self._instead[queue]
        plain = queue.removeprefix(STAND_IN)
        return plain if plain in self._own else queue

    def _consume_apart(self, queue: str) -> str | None:
        home = self._home(queue)
        problem = self.consumer.consume_apart(queue, shown_as=home, on_cancel=self._on_cancel)
        if problem is None and queue == home:
            self._absences.end(home)
        return problem

    def _on_cancel(self, queue: str) -> None:
        """The broker has stopped a consumer, whose queue was most likely deleted."""
        home = self._home(queue)
        if home == queue:
            logger.error("queue `%s` is gone; the other queues are consumed on", queue)
            self.missing.append(queue)
            return
        logger.warning("queue `%s` is gone, which stood in for `%s`", queue, home)
        self._instead.pop(queue, None)
        self._left.pop(home, None)
        if home not in self.consumer.consumed:
            self._miss(home)
            self._looked = monotonic() - LOOK  # at once
