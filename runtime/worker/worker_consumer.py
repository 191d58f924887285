"""What a worker consumes with: queues that it can be told to leave for others while it runs.

What is consumed later than at the start has a channel of its own, on which a refusal harms nothing
else. And RabbitMQ 3.10 must not be asked on the same channel for a queue that was there before
under that name: where it was a quorum queue and is none now, the channel and its connection end.

While a queue is replaced another one stands in for it. What comes from there is shown under the
name of the group's queue, which is the name that routes, parking and the sender know.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from math import ceil
from time import monotonic
from typing import Any

from amqp.exceptions import AccessRefused, NotFound

from routewright.runtime.messages.message import Envelope
from routewright.runtime.messages.orders import (
    STAND_IN,
    Order,
    can_have_stand_in,
    replaced_queue,
    stand_in_of,
)
from routewright.runtime.transport.broker import Broker
from routewright.runtime.transport.consumer import (
    LOOK,
    Consumer,
    Delivery,
    PollingConsumer,
    ack_frame,
    refusal_frame,
)
from routewright.runtime.transport.inbox import TAG_BITS
from routewright.runtime.transport.waker import Waker
from routewright.runtime.worker.absences import AWAY, Absences
from routewright.runtime.worker.mailbox import Mailbox

_APART = 1 << TAG_BITS  # the delivery tags of all channels but the first are not below it

logger = logging.getLogger("routewright.consumer")


class WorkerConsumer(Consumer):
    """Consumes the queues of a group, or what stands in for them, and can be told to change.

    Args:
        broker, queues, on_delivery, waker, prefetch, patient: as of `Consumer`.
        instead: the group's queue by the name of each that is consumed instead; it outlives the
            connection, and is kept up to date here.
        absences: how long the queues were left; it outlives the connection too.
        on_order: called with what the worker is told.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Sequence[str],
        on_delivery: Callable[[Delivery], None],
        *,
        waker: Waker,
        prefetch: int,
        patient: bool,
        instead: dict[str, str],
        absences: Absences,
        on_order: Callable[[Order], None],
    ) -> None:
        self._own = frozenset(queues)
        self._instead = instead
        self._absences = absences
        self._on_order = on_order
        self._mailbox: Mailbox | None = None
        self._sources: dict[str, str] = {}  # the queue that is really consumed, by consumer tag
        self._channels: dict[str, Any] = {}  # by consumer tag
        self._apart: dict[int, Any] = {}  # the channels but for the first, by number
        self._prefetch = 0
        self._unsettled: dict[int, str] = {}  # consumer tags, by delivery tag
        self._left: dict[str, float] = {}  # when each queue of the group was left
        super().__init__(
            broker, queues, on_delivery, waker=waker, prefetch=prefetch, patient=patient
        )

    @property
    def consumed(self) -> set[str]:
        """The queues that are really consumed."""
        return {self._sources[tag] for tag in self._tags}

    def home(self, queue: str) -> str:
        """The group's queue that another one is consumed for."""
        if queue in self._instead:
            return self._instead[queue]
        plain = queue.removeprefix(STAND_IN)
        return plain if plain in self._own else queue

    def owes(self, queue: str) -> int:
        """How many messages of a queue are not settled."""
        return sum(self._sources[tag] == queue for tag in self._unsettled.values())

    def is_from(self, queue: str, delivery: Delivery) -> bool:
        """Whether an unsettled delivery came from a queue, under whatever name it is shown."""
        if delivery.source is not self:
            return False
        tag = self._unsettled.get(delivery.tag)
        return tag is not None and self._sources[tag] == queue

    def has_left(self, delivery: Delivery) -> bool:
        """Whether the queue that a delivery came from is consumed no more."""
        return not any(self.is_from(queue, delivery) for queue in self.consumed)

    def objection(self, queue: str, other: str) -> str | None:
        """Returns why an order to leave a queue for another one is refused; None if it is obeyed.

        Orders come to all workers. What a worker does not consume, it has left already.
        """
        home = replaced_queue(queue, other)
        if home is None:
            return f"neither of `{queue}` and `{other}` stands in for the other"
        if queue not in self.consumed:
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
        """Consume another queue for one that is to be left; what stands against it, if anything.

        Raises:
            LinkLost: the connection broke.
        """
        if other in self.consumed:
            return None
        home = self.home(instead_of)
        if other != home:
            self._instead[other] = home
        with self._losing():
            problem = self._begin_apart(other)
        if problem:
            self._instead.pop(other, None)
        elif other == home:
            self._left.pop(home, None)
            self.missing = [it for it in self.missing if it != home]
        return problem

    def leave(self, queue: str) -> None:
        """Receive no more from a queue; what came from it may still be settled.

        Raises:
            LinkLost: the connection broke.
        """
        home = self.home(queue)
        with self._losing():
            self._flush()
            for tag in [it for it in self._tags if self._sources[it] == queue]:
                self._tags.remove(tag)
                self._channels[tag].basic_cancel(tag)
        self._instead.pop(queue, None)
        if queue == home:
            self._left[home] = monotonic()
            self._absences.begin(home)

    def cancel(self) -> None:
        """The same as of `Consumer`."""
        with self._losing():
            self._flush()
            while self._tags:
                tag = self._tags.pop()
                self._channels[tag].basic_cancel(tag)

    def catch_up(self) -> None:
        """Return when the broker has dealt with all that it was told of messages.

        Raises:
            LinkLost: the connection broke.
        """
        with self._losing():
            self._flush()
            for channel in {self._channel, *self._apart.values()}:
                channel.basic_cancel("nobody")  # it answers, after all that came before
            used = {self._channels[tag] for tag in (*self._tags, *self._unsettled.values())}
            for number, channel in [*self._apart.items()]:
                if channel not in used:
                    channel.close()
                    self._forget(number)

    def look_for_missing(self) -> None:
        """The same, and look after queues that were left long ago.

        Whoever had them left may have died since, and nobody consumes what is published there.
        """
        if self._left:
            late = [it for it, when in self._left.items() if monotonic() - when >= AWAY]
            for queue in late:
                del self._left[queue]
                if queue not in self.consumed and queue not in self.missing:
                    self.missing.append(queue)
        super().look_for_missing()

    def _limit(self, prefetch: int, queues: int) -> None:
        self._prefetch = prefetch
        super()._limit(prefetch, queues)

    def _consume(self, queues: Sequence[str]) -> None:
        is_first = self._mailbox is None
        if is_first:
            self._mailbox = Mailbox(self._connection, self._on_order)
        there = self._existing(queues)
        absent = [it for it in queues if it not in there]
        for other in self._others(queues, absent):
            self._begin_apart(other)
        helped = {self.home(it) for it in self.consumed}
        for queue in absent:
            if queue in helped:
                logger.warning("queue `%s` is missing, and another one stands in", queue)
            elif not self._patient:
                there.append(queue)  # the broker will say that it is not there
        self.missing = [it for it in queues if it not in there]
        for queue in there:
            if is_first:
                self._begin(queue)
            elif self._begin_apart(queue):
                self.missing.append(queue)

    def _others(self, queues: Sequence[str], absent: Iterable[str]) -> list[str]:
        """What may be there to be consumed for some queues, and is not consumed yet."""
        told = [it for it, home in self._instead.items() if home in queues]
        found = dict.fromkeys([*told, *map(stand_in_of, absent)])
        return [it for it in found if it not in self.consumed]

    def _begin(self, queue: str) -> None:
        self._begin_on(self._channel, queue)

    def _begin_apart(self, queue: str) -> str | None:
        """Consume a queue on a channel of its own; what stands against it, if anything."""
        channel: Any = self._connection.channel()
        channel.auto_decode = False
        number = channel.channel_id
        if self._prefetch:
            channel.basic_qos(0, self._prefetch, False)
        self._apart[number] = channel
        if self._inbox is not None:
            self._inbox.others.add(number)
        try:
            self._begin_on(channel, queue)
        except (NotFound, AccessRefused) as error:
            channel.close()
            self._forget(number)
            if isinstance(error, AccessRefused):
                logger.error("queue `%s` cannot be consumed: %s", queue, error.reply_text)  # noqa: TRY400
            return str(error.reply_text)
        return None

    def _begin_on(self, channel: Any, queue: str) -> None:
        home, number = self.home(queue), next(self._numbers)
        name = self._mailbox.name if self._mailbox else None
        tag = f"{name}/{number}" if name else f"routewright.{os.getpid()}.{number}"
        self._sources[tag], self._queues[tag], self._channels[tag] = queue, home, channel
        channel.basic_consume(
            queue=queue,
            consumer_tag=tag,
            callback=partial(self._deliver, home),
            on_cancel=partial(self._on_cancel, queue),
        )
        self._tags.append(tag)
        if queue == home:
            self._absences.end(home)

    def _forget(self, number: int) -> None:
        """A channel is closed, whose number another one may get."""
        del self._apart[number]
        if self._inbox is not None:
            self._inbox.others.discard(number)

    def _on_cancel(self, queue: str, tag: str) -> None:
        home = self.home(queue)
        if home == queue:
            super()._on_cancel(queue, tag)
            return
        logger.warning("queue `%s` is gone, which stood in for `%s`", queue, home)
        if tag in self._tags:
            self._tags.remove(tag)
        self._instead.pop(queue, None)
        self._left.pop(home, None)
        if home not in self.consumed:
            if home not in self.missing:
                self.missing.append(home)
            self._looked = monotonic() - LOOK  # at once

    def _take(self, consumer: str, tag: int, again: bool, envelope: Envelope) -> None:
        self._unsettled[tag] = consumer
        self._hand_on(Delivery(envelope, tag, self._queues[consumer], self, again))

    def _delivery(self, queue: str, raw: Any) -> Delivery:
        told = raw.delivery_info
        number, tag = raw.channel.channel_id, told["delivery_tag"]
        if number in self._apart:
            tag |= number << TAG_BITS
        self._unsettled[tag] = told["consumer_tag"]
        return replace(super()._delivery(queue, raw), tag=tag)

    def ack(self, delivery: Delivery) -> None:
        """The same as of `Consumer`."""
        if delivery.source is self:
            tag = delivery.tag
            self._unsettled.pop(tag, None)
            if tag < _APART:
                self._owed.append(ack_frame(self._channel.channel_id, tag))
            else:
                self._owed.append(ack_frame(tag >> TAG_BITS, tag % _APART))

    def reject(self, delivery: Delivery, *, requeue: bool) -> None:
        """The same as of `Consumer`."""
        if delivery.source is self:
            number, tag = divmod(delivery.tag, _APART)
            self._unsettled.pop(delivery.tag, None)
            channel = number or self._channel.channel_id
            self._owed.append(refusal_frame(channel, tag, requeue=requeue))


def consumer_of_worker(
    broker: Broker, instead: dict[str, str], on_order: Callable[[Order], None]
) -> Callable[..., Consumer]:
    """What makes the consumer of a worker, of the kind its broker needs; as `Consumer` is made."""
    if broker.is_amqp:
        return partial(WorkerConsumer, instead=instead, absences=Absences(), on_order=on_order)
    return PollingConsumer
