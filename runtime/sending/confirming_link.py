"""A connection to publish on: one AMQP channel, in confirm mode."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from amqp.exceptions import ChannelError, IrrecoverableConnectionError, NotFound

from routewright.runtime.connect import connections
from routewright.runtime.errors import BrokerBlocked, ConfirmTimeout, EncodeError, NoConsumers
from routewright.runtime.messages.amqp_values import to_amqp
from routewright.runtime.messages.events import EXCHANGE, SENT_KEY
from routewright.runtime.messages.message import Envelope
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.ledger import Ledger
from routewright.runtime.transport.broker import LOST, Broker, LinkLost, Objection
from routewright.runtime.transport.encode import (
    TRANSIENT,
    publish_address,
    publish_frames,
    publish_properties,
)
from routewright.runtime.transport.event_channel import event_channel

MAX_IDLE = 60.0  # seconds; then a new connection is cheaper than the doubt about the old one

MAX_UNSETTLED_BYTES = 2**23
BATCH_BYTES = 2**14
SUCCESSION = 0.001  # seconds between two messages that may go out together


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """The settings that the links of an app share.

    Attributes:
        broker: the broker to connect to.
        confirm_timeout: seconds that the broker may go without settling anything, and that a send
            waits for a link that others use.
        events: whether the events of what is sent leave on the links too.
    """

    broker: Broker
    confirm_timeout: float = 10.0
    events: bool = False


class ConfirmingLink:
    """An AMQP connection with one channel in confirm mode, on which messages are unsettled.

    Args:
        settings: what it has in common with the other links.
        connect_timeout: seconds to keep trying for, unless the broker's own are wanted.
    """

    def __init__(self, settings: LinkSettings, connect_timeout: float | None) -> None:
        broker = self._broker = settings.broker
        self._timeout = settings.confirm_timeout
        self._blocked = False
        self.in_doubt = False
        self._touched = monotonic()
        self._ledger = Ledger()
        self._buffer: list[bytes] = []
        self._buffered = 0  # bytes
        self._connection = broker.persist(
            connect_timeout, lambda left: broker.connect(left, on_blocked=self._on_blocked)
        )
        self._amqp: Any = self._connection.connection
        try:
            self._channel: Any = self._connection.channel()
            self._channel.confirm_select()
            self._events: Any = event_channel(self._amqp) if settings.events else None
        except LOST as error:
            connections.discard(self._connection)
            raise LinkLost(str(error)) from error
        # Bounds every write: one that takes longer has met a broker that does not read.
        self._amqp.transport.sock.settimeout(self._timeout)
        self._write: Callable[[bytes], None] = self._amqp.transport.write
        told = self._channel.events
        told["basic_ack"].add(self._ledger.acked)
        told["basic_nack"].add(self._ledger.nacked)
        told["basic_return"].add(self._ledger.returned)

    @property
    def stale(self) -> bool:
        """Whether it lay idle for so long that a firewall may have forgotten it."""
        return not len(self._ledger) and monotonic() - self._touched > MAX_IDLE

    @property
    def settled(self) -> int:
        """How many messages the broker has settled on it."""
        return self._ledger.settled

    def make_room(self, dispatch: Dispatch, window: int) -> None:
        """Wait until fewer than `window` messages are unsettled, and none that could be confused.

        Of two messages with one id, the second waits for the first: a return tells no more than
        the id.

        Raises:
            LinkLost: as of `settle`.
        """
        ledger = self._ledger
        if len(ledger) >= window:
            self.settle(window * 3 // 4)  # not one by one, for which each would need a write
        if ledger.holds(dispatch.id):
            self.settle(0)
        if ledger.size > MAX_UNSETTLED_BYTES:
            self.settle(len(ledger) // 2)

    def post(self, dispatch: Dispatch) -> None:
        """Write a message; what the broker makes of it is known when it is settled.

        In a quick succession of messages several go out together, at the latest by `settle`.

        Raises:
            LinkLost: the connection broke; the message is among the unsettled.
        """
        try:
            data = self._frames(dispatch)
        except Exception as error:  # noqa: BLE001  of many types, as for headers
            dispatch.fail(EncodeError, f"it cannot be sent: {error}", error)
            return
        dispatch.posted += 1
        self._ledger.add(dispatch, len(data))
        if dispatch.event is not None:
            data += self._event_frames(dispatch.event)
        self._buffer.append(data)
        self._buffered += len(data)
        now = monotonic()
        if self._buffered >= BATCH_BYTES or now - self._touched > SUCCESSION:
            self._flush()
        self._touched = now

    def _flush(self) -> None:
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered = 0
        self.in_doubt = True
        try:
            self._write(data)
        except TimeoutError as error:
            self._see_blocked()
            self._give_up(error)
            return
        except LOST as error:
            raise LinkLost(str(error) or type(error).__name__) from error
        self.in_doubt = False

    def _frames(self, dispatch: Dispatch) -> bytes:
        route, envelope = dispatch.route, dispatch.envelope
        body = envelope.body
        if isinstance(body, str):
            body = body.encode(envelope.content_encoding)
        return publish_frames(
            self._channel.channel_id,
            self._amqp.frame_max,
            publish_address(route.exchange, route.routing_key, mandatory=dispatch.mandatory),
            publish_properties(envelope, to_amqp(envelope.priority)),
            body,
        )

    def _event_frames(self, event: Envelope) -> bytes:
        if self._events is None or not self._events.usable:
            return b""
        return publish_frames(
            self._events.channel_id,
            self._amqp.frame_max,
            publish_address(EXCHANGE, SENT_KEY, mandatory=False),
            publish_properties(event, None, TRANSIENT),
            str(event.body).encode(),
        )

    def settle(self, room: int) -> None:
        """Wait until at most `room` messages are unsettled.

        When the broker settles none for too long, all of them fail.

        Raises:
            Objection: the broker closed the channel over one of them.
            LinkLost: the connection broke.
        """
        ledger = self._ledger
        if len(ledger) > room and self._buffer:
            self._flush()
        settled, deadline = ledger.settled, 0.0
        while len(ledger) > room:
            if not deadline or ledger.settled > settled:
                settled, deadline = ledger.settled, monotonic() + self._timeout
                remaining = self._timeout  # exactly: another would cost two system calls
            else:
                remaining = deadline - monotonic()
            if remaining <= 0:
                self._give_up(None)
                return
            self.in_doubt = True
            self._drain(remaining)
            self.in_doubt = False

    def _drain(self, timeout: float) -> None:
        try:
            self._amqp.drain_events(timeout=timeout)
        except TimeoutError:
            pass
        except (ChannelError, IrrecoverableConnectionError) as error:
            raise Objection(error) from error
        except LOST as error:
            raise LinkLost(str(error) or type(error).__name__) from error

    def _give_up(self, cause: BaseException | None) -> None:
        self.in_doubt = True
        name, seconds = self._broker.name, f"{self._timeout:g} s"
        for dispatch in self._ledger.close():
            if self._blocked:
                problem = (
                    f"{name} has blocked publishers (memory or disk alarm) and confirmed nothing"
                    f" in {seconds}; the task may or may not be queued later"
                )
                dispatch.fail(BrokerBlocked, problem, cause)
            else:
                problem = f"{name} did not confirm in {seconds}; the task may or may not be queued"
                dispatch.fail(ConfirmTimeout, problem, cause)

    def unsettled(self) -> list[Dispatch]:
        """What a broken link leaves behind, in order."""
        return self._ledger.close()

    def check_consumers(self, dispatch: Dispatch) -> None:
        """Fail an immediate task that no worker is waiting for; nothing else may be unsettled.

        RabbitMQ has had no `immediate` flag since 3.0; a passive declare tells the consumers. Those
        of a tap do not count: they only get a copy.
        """
        route = dispatch.route
        queues = [queue for queue in route.queues if queue not in route.taps]
        self.in_doubt = True
        try:
            counts = [
                self._channel.queue_declare(queue, passive=True).consumer_count for queue in queues
            ]
        except NotFound as error:
            dispatch.fail(NoConsumers, str(error.reply_text), error)
            return
        except LOST as error:
            raise LinkLost(str(error) or type(error).__name__) from error
        self.in_doubt = False
        if not any(counts):
            dispatch.fail(NoConsumers, f"no worker consumes {', '.join(queues) or 'it'} now")

    def pulse(self) -> None:
        """Ask the broker something, on a link with nothing unsettled; unanswered, it is in doubt.

        An answer proves more than AMQP's heartbeat frames, and firewalls on the way see both sides.
        """
        self.in_doubt = True
        try:
            with suppress(TimeoutError):
                self._amqp.drain_events(timeout=0)
            if not self._blocked:  # then it would not answer, and yet be there
                self._channel.confirm_select()
        except LOST:
            return
        self.in_doubt = False
        self._touched = monotonic()

    def close(self) -> None:
        """Close the connection in order."""
        connections.close(self._connection)

    def discard(self) -> None:
        """Drop the connection, which may be broken."""
        connections.discard(self._connection)

    def abandon(self) -> None:
        """Let go of the connection in a forked child."""
        connections.abandon(self._amqp)

    def _see_blocked(self) -> None:
        with suppress(*LOST):
            self._amqp.drain_events(timeout=0)

    def _on_blocked(self, blocked: bool) -> None:
        self._blocked = blocked
