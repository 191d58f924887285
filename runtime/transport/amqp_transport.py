"""The AMQP connection that a consumer receives on, with all that is read and written there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from struct import Struct
from time import monotonic
from typing import Any

from amqp.exceptions import AccessRefused, ChannelError, NotFound
from kombu.transport.pyamqp import Channel

from routewright.runtime.connect import connections
from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport.envelopes import envelope_of, put
from routewright.runtime.transport.inbox import TAG_BITS, Inbox, Taken
from routewright.runtime.transport.waker import Waker

TICK = 1.0  # seconds between two looks at the heartbeats
BURST = 300  # frames read before the caller gets its turn

_APART = 1 << TAG_BITS  # delivery tags below it are of the first channel

logger = logging.getLogger("routewright.consumer")


class AmqpTransport:
    """An AMQP connection and its channels; used by one thread.

    Queues are consumed on the first channel. A queue that may be refused is consumed on a channel
    of its own, since a refusal closes the channel.

    Args:
        connection: kombu's, established.
        take: is given each delivery.
        waker: may end a `wait` early.
        prefetch: unacknowledged messages that each consumer may hold; 0 for no limit.
    """

    def __init__(self, connection: Any, take: Taken, *, waker: Waker, prefetch: int) -> None:
        self._connection = connection
        self._amqp: Any = connection.connection
        self._take = take
        self._waker = waker
        self._prefetch = prefetch
        self._channel: Any = self.open_channel()
        self._number: int = self._channel.channel_id
        self._outgoing = _open_answering_channel(self._amqp)
        self._inbox = Inbox(self._amqp, self._number, take)
        self._channels: dict[str, Any] = {}  # by consumer tag
        self._apart: dict[int, Any] = {}  # the channels but for the first, by number
        self._owed: list[bytes] = []  # acknowledgements that go out together
        self._ticked = monotonic()
        self._limit(self._channel)

    def open_channel(self) -> Any:
        """Opens a channel whose messages keep their bodies as bytes."""
        channel: Any = self._connection.channel()
        channel.auto_decode = False
        return channel

    def _limit(self, channel: Any) -> None:
        if self._prefetch:  # for each consumer: global QoS fails on quorum queues
            channel.basic_qos(0, self._prefetch, False)

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Declares a durable queue."""
        self._channel.queue_declare(
            queue, durable=True, auto_delete=False, arguments=dict(arguments)
        )

    def existing(self, queues: Sequence[str]) -> list[str]:
        """Returns those of the queues that exist."""
        channel = self._connection.channel()  # its own: a queue that is missing closes the channel
        found = []
        for queue in queues:
            with suppress(NotFound):
                channel.queue_declare(queue, passive=True)
                found.append(queue)
        channel.close()
        return found

    def consume(
        self,
        queue: str,
        consumer: str,
        *,
        no_ack: bool,
        on_cancel: Callable[[str], None] | None,
    ) -> None:
        """Starts a consumer, by its tag, on the first channel."""
        self._consume_on(self._channel, queue, consumer, no_ack, on_cancel)

    def consume_apart(
        self, queue: str, consumer: str, *, on_cancel: Callable[[str], None]
    ) -> str | None:
        """Starts a consumer on a channel of its own. Returns the broker's reason if it refuses."""
        channel = self.open_channel()
        number = channel.channel_id
        self._limit(channel)
        self._apart[number] = channel
        self._inbox.others.add(number)
        try:
            self._consume_on(channel, queue, consumer, False, on_cancel)
        except (NotFound, AccessRefused) as error:
            self._close_apart(number)
            if isinstance(error, AccessRefused):
                logger.error("queue `%s` cannot be consumed: %s", queue, error.reply_text)  # noqa: TRY400
            return str(error.reply_text)
        return None

    def _consume_on(
        self,
        channel: Any,
        queue: str,
        consumer: str,
        no_ack: bool,
        on_cancel: Callable[[str], None] | None,
    ) -> None:
        self._channels[consumer] = channel
        channel.basic_consume(
            queue=queue,
            no_ack=no_ack,
            consumer_tag=consumer,
            callback=self._deliver,
            on_cancel=on_cancel,
        )

    def _close_apart(self, number: int) -> None:
        """Closes a channel, whose number another one may get."""
        self._apart[number].close()
        del self._apart[number]
        self._inbox.others.discard(number)

    def cancel(self, consumer: str) -> None:
        """Stops a consumer; what it has received may still be settled."""
        self.flush()
        self._channels[consumer].basic_cancel(consumer)

    def finish_cancelling(self) -> None:
        """Nothing: after a cancellation nothing arrives."""

    def catch_up(self, used: Iterable[str]) -> None:
        """Returns when the broker has dealt with all that it was told of messages.

        Closes each channel that was opened for one queue and has none of the `used` consumers.
        """
        self.flush()
        for channel in {self._channel, *self._apart.values()}:
            channel.basic_cancel("nobody")  # it answers, after all that came before
        in_use = {self._channels[consumer].channel_id for consumer in used}
        for number in self._apart.keys() - in_use:
            self._close_apart(number)

    def _deliver(self, raw: Any) -> None:
        """Takes a delivery that py-amqp has read."""
        info = raw.delivery_info
        number, tag = raw.channel.channel_id, info["delivery_tag"]
        if number in self._apart:
            tag |= number << TAG_BITS
        self._take(info["consumer_tag"], tag, info["redelivered"], envelope_of(raw))

    def allow(self, held: int) -> None:
        """Nothing: with a broker that delays messages, few are held, and none for long."""

    def patience(self, *, busy: bool) -> float:  # noqa: ARG002
        """Returns the seconds that `wait` may wait, so that the waker is heard in time."""
        return TICK

    def wait(self, timeout: float) -> None:
        """Delivers what has arrived; if nothing has, waits for it or for the waker."""
        transport = self._amqp.transport if self._amqp.connected else None
        if transport is None:
            raise ConnectionError("the connection is closed")
        self.flush()
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
        if self._inbox.can_read:
            self._inbox.read()
            return
        # One frame at a time, for `drain_events` goes on waiting after a heartbeat.
        try:
            for _ in range(BURST):
                self._amqp.blocking_read(0)
        except TimeoutError:
            pass

    def ack(self, tag: int) -> None:
        """Acknowledges a message, with the next `flush`."""
        if tag < _APART:
            self._owed.append(ack_frame(self._number, tag))
        else:
            self._owed.append(ack_frame(tag >> TAG_BITS, tag % _APART))

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Gives a message back, or has it dead-lettered, with the next `flush`."""
        number, own = divmod(tag, _APART)
        self._owed.append(refusal_frame(number or self._number, own, requeue=requeue))

    def flush(self) -> None:
        """Writes the acknowledgements that are owed."""
        if self._owed:
            owed, self._owed = b"".join(self._owed), []
            self._amqp.transport.write(owed)

    def publish(self, queue: str, envelope: Envelope) -> None:
        """Puts a message into a queue, unconfirmed; the broker sees it before any later `ack`."""
        put(self._outgoing, queue, envelope)

    def delete(self, queue: str) -> None:
        """Deletes a queue."""
        self._channel.queue_delete(queue)

    def close(self) -> None:
        """Closes the connection in order; the broker takes back what was not settled."""
        with suppress(Exception):  # it is closed already, and what is owed comes again
            self.flush()
        connections.close(self._connection)

    def abandon(self) -> None:
        """Lets go of the connection in a forked child."""
        connections.abandon(self._amqp)


class AnsweringChannel(Channel):
    """The channel that results leave on, which outlives a refused one.

    A broker refuses a message by closing the channel it was published on (no permission, or too
    large). On the consuming channel that would give every unsettled message back, to be run again
    indefinitely. Here py-amqp opens the channel again.
    """

    def _on_close(self, reply_code: Any, reply_text: Any, class_id: Any, method_id: Any) -> None:
        try:
            close: Any = super()._on_close  # py-amqp has no annotations
            close(reply_code, reply_text, class_id, method_id)
        except ChannelError as error:
            logger.error(  # noqa: TRY400  one line is enough
                "a result was refused by the broker, and nobody gets it: %s", error
            )


def _open_answering_channel(connection: Any) -> Any:
    make: Any = AnsweringChannel
    channel = make(connection)
    channel.open()
    return channel


def ack_frame(channel: int, tag: int) -> bytes:
    """Returns `basic.ack` of one message, as py-amqp would write it."""
    return _ACK(1, channel, 13, 60, 80, tag, 0, 0xCE)


def refusal_frame(channel: int, tag: int, *, requeue: bool) -> bytes:
    """Returns `basic.nack` of one message, or `basic.reject` if it is not given back.

    RabbitMQ 4.3 counts a rejection against the delivery limit of a quorum queue, and a nack not.
    """
    if requeue:
        return _ACK(1, channel, 13, 60, 120, tag, _REQUEUE, 0xCE)
    return _ACK(1, channel, 13, 60, 90, tag, 0, 0xCE)


_ACK = Struct(">BHIHHQBB").pack  # type, channel, size, class, method, tag, flags, end
_REQUEUE = 2  # the second flag of a nack; the first is `multiple`
