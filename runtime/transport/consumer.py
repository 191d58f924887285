"""Receiving messages: the consumers of one connection, all used by one thread."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from struct import Struct
from time import monotonic
from typing import Any

from amqp.exceptions import NotFound

from routewright.runtime.errors import MissingQueue
from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport import broker as brokers
from routewright.runtime.transport.answering import answering_channel
from routewright.runtime.transport.broker import Broker, LinkLost
from routewright.runtime.transport.envelopes import prepare
from routewright.runtime.transport.inbox import Inbox
from routewright.runtime.transport.incoming import envelope_of, envelope_of_virtual
from routewright.runtime.transport.waker import Waker

HEARTBEAT = 30.0  # seconds; the broker drops us, and we it, after twice that in silence
TICK = 1.0  # seconds between two looks at the heartbeats
BURST = 300  # frames read before the caller gets its turn
MOST_HELD = 10_000  # messages that a worker may hold where no broker can delay them
LOOK = 5.0  # seconds between two looks for queues that are missing
POLL = 5.0  # seconds that a poll on Redis may take; it is told to take one

logger = logging.getLogger("routewright.consumer")


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
    """Consumes queues over a connection and a channel of its own.

    Args:
        broker: whom to connect to.
        queues: the queues; each has a consumer, and so a prefetch, of its own.
        on_delivery: called with each message, from within `wait` or any other call here.
        waker: what may end a `wait` early.
        prefetch: how many unacknowledged messages each consumer may hold; 0 for no limit.
        no_ack: whether the broker forgets a message as it delivers it.
        declare: declare the queues, durable, with these arguments.
        patient: consume the queues that exist, and leave the others in `missing`.

    Raises:
        BrokerUnreachable: no connection could be made.
        MissingQueue: a queue does not exist, and we are not patient.
        LinkLost: the connection broke again at once.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Sequence[str],
        on_delivery: Callable[[Delivery], None],
        *,
        waker: Waker,
        prefetch: int = 0,
        no_ack: bool = False,
        declare: Mapping[str, Any] | None = None,
        patient: bool = False,
        connect_timeout: float | None = None,
    ) -> None:
        self.lost = False
        self.missing: list[str] = []
        self._on_delivery = on_delivery
        self._waker = waker
        self._no_ack = no_ack
        self._patient = patient
        self._others_matter = declare is None  # a queue that we declare is had by declaring it anew
        self._tags: list[str] = []
        self._queues: dict[str, str] = {}  # by consumer tag
        self._owed: list[bytes] = []  # acknowledgements that go out together
        self._numbers = count()
        # Until every queue is consumed: no task may start on a connection that is given up at once.
        self._held: list[Delivery] | None = []
        self._ticked = self._looked = monotonic()
        self._connection = broker.connect(connect_timeout, heartbeat=HEARTBEAT)
        self._amqp: Any = self._connection.connection
        try:
            with self._losing():
                self._channel: Any = self._connection.channel()
                self._channel.auto_decode = False  # the body stays the bytes it is
                self._outgoing: Any = self._open_outgoing()
                self._inbox = self._open_inbox()
                if prefetch:
                    self._limit(prefetch, len(queues))
                if declare is not None:
                    self._declare(queues, declare)
                self._consume(queues)
        except BaseException as error:
            self.lost = True
            brokers.discard(self._connection)
            if isinstance(error.__cause__, NotFound):
                raise MissingQueue(f"{broker.name}: {error.__cause__.reply_text}") from error
            raise
        held, self._held = self._held, None
        for delivery in held:
            on_delivery(delivery)

    def _open_outgoing(self) -> Any:
        return answering_channel(self._amqp)

    def _open_inbox(self) -> Inbox | None:
        return Inbox(self._amqp, self._channel.channel_id, self._take)

    def _declare(self, queues: Sequence[str], arguments: Mapping[str, Any]) -> None:
        for queue in queues:
            self._channel.queue_declare(
                queue, durable=True, auto_delete=False, arguments=dict(arguments)
            )

    def _limit(self, prefetch: int, _queues: int) -> None:
        # Per consumer: global QoS fails on quorum queues.
        self._channel.basic_qos(0, prefetch, False)

    def _consume(self, queues: Sequence[str]) -> None:
        found = self._existing(queues) if self._patient else queues
        self.missing = [queue for queue in queues if queue not in found]
        for queue in found:
            self._begin(queue)

    def _begin(self, queue: str) -> None:
        tag = f"routewright.{os.getpid()}.{next(self._numbers)}"
        self._tags.append(tag)
        self._queues[tag] = queue
        self._channel.basic_consume(
            queue=queue,
            no_ack=self._no_ack,
            consumer_tag=tag,
            callback=partial(self._deliver, queue),
            on_cancel=partial(self._on_cancel, queue) if self._others_matter else None,
        )

    def _existing(self, queues: Sequence[str]) -> list[str]:
        # On a channel of its own: a queue that is not there costs the channel.
        channel = self._connection.channel()
        found = []
        for queue in queues:
            with suppress(NotFound):
                channel.queue_declare(queue, passive=True)
                found.append(queue)
        channel.close()
        return found

    def _on_cancel(self, queue: str, tag: str) -> None:
        """The broker ends a consumer, whose queue was most likely deleted."""
        logger.error("queue `%s` is gone; the other queues are consumed on", queue)
        if tag in self._tags:
            self._tags.remove(tag)
        self.missing.append(queue)

    def look_for_missing(self) -> None:
        """From time to time, look for the missing queues, and consume those that are there.

        Raises:
            LinkLost: the connection broke.
        """
        if not self.missing or monotonic() - self._looked < LOOK:
            return
        self._looked = monotonic()
        before = set(self.missing)
        with self._losing():
            self._patient = True
            self._consume(tuple(before))
        for queue in sorted(before.difference(self.missing)):
            logger.info("queue `%s` is there again", queue)

    def _deliver(self, queue: str, raw: Any) -> None:
        self._hand_on(self._delivery(queue, raw))

    def _take(self, consumer: str, tag: int, again: bool, envelope: Envelope) -> None:
        self._hand_on(Delivery(envelope, tag, self._queues[consumer], self, again))

    def _hand_on(self, delivery: Delivery) -> None:
        if self._held is not None:
            self._held.append(delivery)
        else:
            self._on_delivery(delivery)

    def _delivery(self, queue: str, raw: Any) -> Delivery:
        told = raw.delivery_info
        return Delivery(envelope_of(raw), told["delivery_tag"], queue, self, told["redelivered"])

    def allow(self, held: int) -> None:
        """Nothing: with a broker that delays messages, few are held, and none for long."""

    def patience(self, *, busy: bool) -> float:  # noqa: ARG002
        """How long `wait` may wait, in seconds, if the waker is to be heard in time."""
        return TICK

    def wait(self, timeout: float) -> None:
        """Deliver what has arrived; if nothing has, wait for it or for the waker.

        Raises:
            LinkLost: the connection broke, or a consumer was cancelled by the broker.
        """
        with self._losing():
            transport = self._amqp.transport if self._amqp.connected else None
            if transport is None:
                raise ConnectionError("the connection is closed")
            self._flush()
            if self._has_arrived(transport.sock, timeout):
                self._read()
            if monotonic() - self._ticked >= TICK:
                self._ticked = monotonic()
                self._connection.heartbeat_check()

    def _has_arrived(self, sock: Any, timeout: float) -> bool:
        # TLS decrypts by the record: what it holds already, no poll sees.
        if hasattr(sock, "pending") and sock.pending():
            return True
        return self._waker.wait_beside(sock, timeout)

    def _read(self) -> None:
        if self._inbox is not None and self._inbox.can_read:
            self._inbox.read()
            return
        # One frame at a time, for `drain_events` goes on waiting after a heartbeat.
        try:
            for _ in range(BURST):
                self._amqp.blocking_read(0)
        except TimeoutError:
            pass

    def ack(self, delivery: Delivery) -> None:
        """Tell the broker that a message is done with; nothing, if its connection was lost."""
        if delivery.source is self:
            self._owed.append(ack_frame(self._channel.channel_id, delivery.tag))

    def _flush(self) -> None:
        """Write the acknowledgements that are owed."""
        if self._owed:
            owed, self._owed = b"".join(self._owed), []
            self._amqp.transport.write(owed)

    def reject(self, delivery: Delivery, *, requeue: bool) -> None:
        """Give a message back, or have it dead-lettered; nothing, if its connection was lost."""
        if delivery.source is self:
            channel = self._channel.channel_id
            self._owed.append(refusal_frame(channel, delivery.tag, requeue=requeue))

    def has_left(self, delivery: Delivery) -> bool:  # noqa: ARG002
        """Whether the queue that a delivery came from is consumed no more: here, never."""
        return False

    def publish(self, queue: str, envelope: Envelope) -> None:
        """Put a message into a queue, unconfirmed; the broker sees it before any later `ack`."""
        with self._losing():
            message = prepare(self._outgoing, envelope, None)
            self._outgoing.basic_publish(message, exchange="", routing_key=queue)

    def cancel(self) -> None:
        """Stop receiving; what has been received may still be settled."""
        with self._losing():
            self._flush()
            while self._tags:
                self._channel.basic_cancel(self._tags.pop())

    def delete(self, queue: str) -> None:
        """Delete a queue."""
        with self._losing():
            self._channel.queue_delete(queue)

    def close(self) -> None:
        """Close the connection in order; the broker takes back what was not settled."""
        with suppress(Exception):  # it is closed already, and what is owed comes again
            self._flush()
        brokers.close(self._connection)

    def discard(self) -> None:
        """Drop the connection, which may be broken."""
        brokers.discard(self._connection)

    def abandon(self) -> None:
        """Let go of the connection in a forked child."""
        brokers.abandon(self._amqp)

    @contextmanager
    def _losing(self) -> Iterator[None]:
        """Whatever goes wrong on the connection loses it."""
        try:
            yield
        except Exception as error:  # py-amqp and each transport have many of their own
            self.lost = True
            raise LinkLost(str(error) or type(error).__name__) from error


class PollingConsumer(Consumer):
    """Consumes over one of kombu's virtual transports, which cannot wait for a waker."""

    def _open_outgoing(self) -> Any:
        return self._channel

    def _open_inbox(self) -> Inbox | None:
        return None

    def _flush(self) -> None:
        """Nothing: an acknowledgement takes effect at once."""

    def ack(self, delivery: Delivery) -> None:
        """Take a message as done with."""
        if delivery.source is self:
            with self._losing():
                self._channel.basic_ack(delivery.tag)

    def reject(self, delivery: Delivery, *, requeue: bool) -> None:
        """Give a message back, or drop it."""
        if delivery.source is self:
            with self._losing():
                self._channel.basic_reject(delivery.tag, requeue=requeue)

    def _limit(self, prefetch: int, queues: int) -> None:
        self._most = prefetch * queues
        self._channel.basic_qos(0, self._most, False)

    def allow(self, held: int) -> None:
        """Receive as many messages more than the prefetch as are held until they are due."""
        with self._losing():
            self._channel.basic_qos(0, self._most + min(held, MOST_HELD), False)

    def _delivery(self, queue: str, raw: Any) -> Delivery:
        message = self._channel.message_to_python(raw)
        again = bool(message.delivery_info.get("redelivered"))
        return Delivery(envelope_of_virtual(message), message.delivery_tag, queue, self, again)

    def _existing(self, queues: Sequence[str]) -> list[str]:
        return list(queues)

    def patience(self, *, busy: bool) -> float:
        """How long `wait` may wait, in seconds, if the waker is to be heard in time."""
        return 0.01 if busy else 0.1

    def wait(self, timeout: float) -> None:
        """Deliver a message, if one comes in time."""
        with self._losing(), suppress(TimeoutError):
            self._connection.drain_events(timeout=timeout)

    def cancel(self) -> None:
        """Stop receiving, and see the poll through that is under way on Redis.

        kombu puts back what it brings, but drops it if the connection is being closed by then.
        """
        super().cancel()
        deadline = monotonic() + POLL
        with self._losing():
            self._channel.basic_qos(0, 0, False)  # or what is held keeps the answer from being read
            while getattr(self._channel, "_in_poll", None) and monotonic() < deadline:
                with suppress(TimeoutError):
                    self._connection.drain_events(timeout=0.1)

    def delete(self, queue: str) -> None:
        """Empty a queue: a virtual queue without messages does not exist."""
        with self._losing():
            self._channel.queue_purge(queue)

    def abandon(self) -> None:
        """Nothing: there is no socket, or its library looks after forks itself."""


def ack_frame(channel: int, tag: int) -> bytes:
    """`basic.ack` of one message, as py-amqp would write it."""
    return _ACK(1, channel, 13, 60, 80, tag, 0, 0xCE)


def refusal_frame(channel: int, tag: int, *, requeue: bool) -> bytes:
    """`basic.nack` of one message, or `basic.reject` if it is not given back.

    RabbitMQ 4.3 counts a rejection against the delivery limit of a quorum queue, and a nack not.
    """
    if requeue:
        return _ACK(1, channel, 13, 60, 120, tag, _REQUEUE, 0xCE)
    return _ACK(1, channel, 13, 60, 90, tag, 0, 0xCE)


_ACK = Struct(">BHIHHQBB").pack  # type, channel, size, class, method, tag, flags, end
_REQUEUE = 2  # the second flag of a nack; the first is `multiple`


def consumer_of(broker: Broker) -> type[Consumer]:
    """The kind of consumer the broker needs."""
    return Consumer if broker.is_amqp else PollingConsumer
