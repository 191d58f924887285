"""Receives the messages of queues over a connection of its own, and settles them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from amqp.exceptions import NotFound

from routewright.runtime.connect import connections
from routewright.runtime.errors import MissingQueue
from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport.amqp_transport import AmqpTransport
from routewright.runtime.transport.broker import Broker, LinkLost
from routewright.runtime.transport.polling_transport import PollingTransport
from routewright.runtime.transport.waker import Waker

HEARTBEAT = 30.0  # seconds; the broker drops us, and we it, after twice that in silence


@dataclass(slots=True, eq=False)
class Delivery:
    """A message as it came, and the consumer that it must be acknowledged to.

    Nobody changes one. It is not frozen, for that makes each cost a microsecond more.
    """

    envelope: Envelope
    tag: Any
    queue: str
    source: Consumer
    redelivered: bool = False
    acknowledged: bool = False  # before its task began


class Consumer:
    """Consumes queues over a connection of its own; used by one thread.

    Whatever goes wrong on the connection loses it: the call raises `LinkLost`, and `lost` is True
    from then on. A delivery of a lost connection is settled by nobody; the broker has it back.

    Args:
        broker: whom to connect to.
        on_delivery: called with each message, from within `wait` or any other call here.
        subscribe: called once, to consume queues. Deliveries are held back until it returns: no
            task may start on a connection that is given up at once.
        waker: what may end a `wait` early.
        prefetch: how many unacknowledged messages each queue's consumer may hold; 0 for no limit.
        no_ack: whether the broker forgets a message as it delivers it.
        connect_timeout: seconds that connecting may take; the broker's own if None.

    Raises:
        BrokerUnreachable: no connection could be made.
        MissingQueue: a queue that is to be consumed does not exist.
        LinkLost: the connection broke again at once.
    """

    def __init__(
        self,
        broker: Broker,
        on_delivery: Callable[[Delivery], None],
        subscribe: Callable[[Consumer], None],
        *,
        waker: Waker,
        prefetch: int = 0,
        no_ack: bool = False,
        connect_timeout: float | None = None,
    ) -> None:
        self.lost = False
        self.tag_prefix = f"routewright.{os.getpid()}."  # of the consumers' tags
        self._on_delivery = on_delivery
        self._no_ack = no_ack
        self._tags: list[str] = []  # of the consumers that have not been cancelled
        self._queues: dict[str, str] = {}  # that are consumed, by consumer tag
        self._shown: dict[str, str] = {}  # the names that deliveries show instead, likewise
        self._unsettled: dict[Any, str] = {}  # consumer tags, by delivery tag
        self._numbers = count()
        self._held: list[Delivery] | None = []
        self._losing = _Losing(self)
        self._connection = broker.connect(connect_timeout, heartbeat=HEARTBEAT)
        self._transport: AmqpTransport | PollingTransport
        try:
            with self._losing:
                if broker.is_amqp:
                    self._transport = AmqpTransport(
                        self._connection, self._take, waker=waker, prefetch=prefetch
                    )
                else:
                    self._transport = PollingTransport(
                        self._connection, self._take, prefetch=prefetch
                    )
                subscribe(self)
        except BaseException as error:
            self.lost = True
            self.discard()
            if isinstance(error.__cause__, NotFound):
                raise MissingQueue(f"{broker.name}: {error.__cause__.reply_text}") from error
            raise
        held, self._held = self._held, None
        for delivery in held:
            on_delivery(delivery)

    @property
    def consumed(self) -> set[str]:
        """The queues that are consumed."""
        return {self._queues[tag] for tag in self._tags}

    def owes(self, queue: str) -> int:
        """Returns how many messages of a queue are not settled."""
        return sum(self._queues[tag] == queue for tag in self._unsettled.values())

    def is_from(self, queue: str, delivery: Delivery) -> bool:
        """Returns True if a delivery is not settled and came from a queue, however it is shown."""
        if delivery.source is not self:
            return False
        tag = self._unsettled.get(delivery.tag)
        return tag is not None and self._queues[tag] == queue

    def has_left(self, delivery: Delivery) -> bool:
        """Returns True if the queue that a delivery came from is consumed no more."""
        return not any(self.is_from(queue, delivery) for queue in self.consumed)

    def open_channel(self) -> Any:
        """Opens another channel, for which the caller is responsible."""
        with self._losing:
            return self._transport.open_channel()

    def existing(self, queues: Sequence[str]) -> list[str]:
        """Returns those of the queues that exist."""
        with self._losing:
            return self._transport.existing(queues)

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Declares a durable queue."""
        with self._losing:
            self._transport.declare(queue, arguments)

    def consume(
        self,
        queue: str,
        *,
        shown_as: str | None = None,
        on_cancel: Callable[[str], None] | None = None,
    ) -> None:
        """Starts to receive from a queue.

        Args:
            queue: it must exist, or the connection is lost.
            shown_as: the queue that its deliveries show, if not itself.
            on_cancel: called with the queue when the broker stops the consumer, most likely since
                the queue was deleted. Without it the connection is lost then.
        """
        tag = self._new_tag(queue, shown_as)
        cancelled = on_cancel and partial(self._on_cancel, queue, on_cancel)
        with self._losing:
            self._transport.consume(queue, tag, no_ack=self._no_ack, on_cancel=cancelled)
        self._tags.append(tag)

    def consume_apart(
        self, queue: str, *, shown_as: str | None = None, on_cancel: Callable[[str], None]
    ) -> str | None:
        """Starts to receive from a queue that may be refused. Returns the reason if it is."""
        tag = self._new_tag(queue, shown_as)
        cancelled = partial(self._on_cancel, queue, on_cancel)
        with self._losing:
            problem = self._transport.consume_apart(queue, tag, on_cancel=cancelled)
        if problem is None:
            self._tags.append(tag)
        return problem

    def _new_tag(self, queue: str, shown_as: str | None) -> str:
        tag = f"{self.tag_prefix}{next(self._numbers)}"
        self._queues[tag], self._shown[tag] = queue, shown_as or queue
        return tag

    def _on_cancel(self, queue: str, cancelled: Callable[[str], None], tag: str) -> None:
        if tag in self._tags:
            self._tags.remove(tag)
        cancelled(queue)

    def _take(self, consumer: str, tag: Any, again: bool, envelope: Envelope) -> None:
        if not self._no_ack:
            self._unsettled[tag] = consumer
        delivery = Delivery(envelope, tag, self._shown[consumer], self, again)
        if self._held is None:
            self._on_delivery(delivery)
        else:
            self._held.append(delivery)

    def allow(self, held: int) -> None:
        """Lets more messages come, where many are held until they are due."""
        with self._losing:
            self._transport.allow(held)

    def patience(self, *, busy: bool) -> float:
        """Returns the seconds that `wait` may wait, so that the waker is heard in time."""
        return self._transport.patience(busy=busy)

    def wait(self, timeout: float) -> None:
        """Delivers what has arrived; if nothing has, waits for it or for the waker.

        Raises:
            LinkLost: the connection broke, or a consumer was cancelled by the broker.
        """
        with self._losing:
            self._transport.wait(timeout)

    def ack(self, delivery: Delivery) -> None:
        """Acknowledges a message; nothing, if its connection was lost."""
        if delivery.source is self:
            self._unsettled.pop(delivery.tag, None)
            with self._losing:
                self._transport.ack(delivery.tag)

    def reject(self, delivery: Delivery, *, requeue: bool) -> None:
        """Gives a message back, or has it dead-lettered; nothing, if its connection was lost."""
        if delivery.source is self:
            self._unsettled.pop(delivery.tag, None)
            with self._losing:
                self._transport.reject(delivery.tag, requeue=requeue)

    def publish(self, queue: str, envelope: Envelope) -> None:
        """Puts a message into a queue, unconfirmed; the broker sees it before any later `ack`."""
        with self._losing:
            self._transport.publish(queue, envelope)

    def leave(self, queue: str) -> None:
        """Receives no more from a queue; what came from it may still be settled."""
        with self._losing:
            for tag in [each for each in self._tags if self._queues[each] == queue]:
                self._tags.remove(tag)
                self._transport.cancel(tag)

    def catch_up(self) -> None:
        """Returns when the broker has dealt with all that it was told of messages."""
        with self._losing:
            self._transport.catch_up((*self._tags, *self._unsettled.values()))

    def cancel(self) -> None:
        """Receives no more; what has been received may still be settled."""
        with self._losing:
            while self._tags:
                self._transport.cancel(self._tags.pop())
            self._transport.finish_cancelling()

    def delete(self, queue: str) -> None:
        """Deletes a queue."""
        with self._losing:
            self._transport.delete(queue)

    def close(self) -> None:
        """Closes the connection in order; the broker takes back what was not settled."""
        self._transport.close()

    def discard(self) -> None:
        """Drops the connection, which may be broken."""
        connections.discard(self._connection)

    def abandon(self) -> None:
        """Lets go of the connection in a forked child."""
        self._transport.abandon()


class _Losing:
    """A `with` block on a consumer's connection: what goes wrong within it loses the connection."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):  # py-amqp and each transport have many of their own
            self._consumer.lost = True
            if not isinstance(error, LinkLost):
                raise LinkLost(str(error) or type(error).__name__) from error
