"""A connection to publish on: one AMQP channel, in confirm mode."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Any

from amqp.exceptions import ChannelError, IrrecoverableConnectionError, NotFound

from routewright.runtime import broker as brokers
from routewright.runtime.broker import LOST, Broker, LinkLost
from routewright.runtime.errors import (
    BrokerBlocked,
    ConfirmTimeout,
    Nacked,
    NoConsumers,
    Refused,
    Unroutable,
)
from routewright.runtime.message import Envelope
from routewright.runtime.options import LOWEST_PRIORITY
from routewright.runtime.outgoing import described, prepare
from routewright.runtime.route import Route


class ConfirmingLink:
    """An AMQP connection with one channel in confirm mode."""

    def __init__(self, broker: Broker) -> None:
        self.busy = True
        self._broker = broker
        self._blocked = False
        self._published = 0
        self._settled = 0
        self._nacked = False
        self._returned: str | None = None
        self._connection = broker.connect(on_blocked=self._on_blocked)
        self._amqp: Any = self._connection.connection
        try:
            self._channel: Any = self._connection.channel()
            self._channel.confirm_select()
        except LOST as error:
            brokers.discard(self._connection)
            raise LinkLost(str(error)) from error
        self._channel.events["basic_ack"].add(self._on_ack)
        self._channel.events["basic_nack"].add(self._on_nack)
        self._channel.events["basic_return"].add(self._on_return)
        self.busy = False

    def publish(self, route: Route, envelope: Envelope, *, mandatory: bool, timeout: float) -> None:
        """Publish and wait for the confirm, `timeout` seconds at most.

        Raises:
            Unroutable, Nacked, Refused, ConfirmTimeout, BrokerBlocked: as their names say.
            EncodeError: a header of the user's is none that AMQP can carry; nothing was sent.
            LinkLost: the connection broke; the message may or may not have arrived.
        """
        message = prepare(self._channel, envelope, _turned(envelope.priority))
        self.busy = True
        self._nacked, self._returned = False, None
        try:
            self._channel.basic_publish(
                message, route.exchange, route.routing_key, mandatory=mandatory, timeout=timeout
            )
            self._published += 1
            self._await_confirm(route, timeout)
        except NotFound as error:
            raise Unroutable(f"{described(route)}: {error.reply_text}") from error
        except (ChannelError, IrrecoverableConnectionError) as error:
            raise Refused(f"{described(route)}: {error}") from error
        except LOST as error:
            raise LinkLost(str(error) or type(error).__name__) from error
        self.busy = False
        if self._returned is not None:
            raise Unroutable(f"{described(route)}: the broker returned it, {self._returned}")
        if self._nacked:
            raise Nacked(f"{described(route)}: the broker refused it, as a full queue does")

    def _await_confirm(self, route: Route, timeout: float) -> None:
        deadline = monotonic() + timeout
        while self._settled < self._published:
            remaining = deadline - monotonic()
            if remaining <= 0:
                raise self._unconfirmed(route, timeout)
            with suppress(TimeoutError):
                self._amqp.drain_events(timeout=remaining)

    def _unconfirmed(self, route: Route, timeout: float) -> ConfirmTimeout:
        name = self._broker.name
        if self._blocked:
            return BrokerBlocked(
                f"{described(route)}: {name} has blocked publishers (memory or disk alarm) and"
                f" confirmed nothing in {timeout:g} s"
            )
        return ConfirmTimeout(
            f"{described(route)}: {name} did not confirm in {timeout:g} s; the task may or may"
            " not have been queued"
        )

    def check_consumers(self, route: Route) -> None:
        """Refuse an immediate task that no worker is waiting for.

        RabbitMQ has had no `immediate` flag since 3.0; a passive declare tells the consumers. Those
        of a tap do not count: they only get a copy.
        """
        queues = [queue for queue in route.queues if queue not in route.taps]
        self.busy = True
        try:
            counts = [
                self._channel.queue_declare(queue, passive=True).consumer_count for queue in queues
            ]
        except NotFound as error:
            raise NoConsumers(f"{described(route)}: {error.reply_text}") from error
        except LOST as error:
            raise LinkLost(str(error) or type(error).__name__) from error
        self.busy = False
        if not any(counts):
            raise NoConsumers(
                f"{described(route)}: no worker consumes {', '.join(queues) or 'it'} now"
            )

    def close(self) -> None:
        """Close the connection in order."""
        brokers.close(self._connection)

    def discard(self) -> None:
        """Drop the connection, which may be broken."""
        brokers.discard(self._connection)

    def abandon(self) -> None:
        """Let go of the connection in a forked child."""
        brokers.abandon(self._amqp)

    def _on_ack(self, tag: int, _multiple: bool) -> None:
        self._settled = max(self._settled, tag)

    def _on_nack(self, tag: int, _multiple: bool) -> None:
        self._nacked = True
        self._settled = max(self._settled, tag)

    def _on_return(self, error: Any, _exchange: str, _key: str, _message: object) -> None:
        self._returned = f"{error.reply_code} {error.reply_text}"

    def _on_blocked(self, _reason: str) -> None:
        self._blocked = True


def _turned(priority: int | None) -> int | None:
    """Priority on AMQP's scale, where the larger is served first."""
    return None if priority is None else LOWEST_PRIORITY - priority
