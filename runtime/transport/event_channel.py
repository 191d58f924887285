"""Channels that events leave on: never confirmed, never mandatory, and harmless to what is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from amqp.exceptions import ChannelError
from kombu.transport.pyamqp import Channel

from routewright.runtime.connect import connections
from routewright.runtime.messages.events import EXCHANGE
from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport.broker import Broker
from routewright.runtime.transport.encode import TRANSIENT

FANOUT_DRIVERS = ("redis", "gcpubsub")  # where Celery makes the exchange a fanout

logger = logging.getLogger("routewright.events")


class EventChannel(Channel):
    """A channel whose trouble is not that of the connection's other channels.

    py-amqp raises what the broker closed a channel over from whatever reads next, which may be
    waiting for a task's confirm.
    """

    usable = False

    def _on_close(self, reply_code: Any, reply_text: Any, class_id: Any, method_id: Any) -> None:
        was_usable, self.usable = self.usable, False
        try:
            close: Any = super()._on_close  # py-amqp has no annotations
            close(reply_code, reply_text, class_id, method_id)
        except ChannelError as error:
            if not was_usable:
                raise  # to the declaration, which waits
            logger.warning("the broker takes no events on this connection: %s", error)


def event_channel(connection: Any) -> EventChannel:
    """An open channel of this kind on a connection of py-amqp's, and the exchange declared.

    Where the broker refuses that, the channel is not usable.
    """
    make: Any = EventChannel
    channel: EventChannel = make(connection)
    opened: Any = channel
    opened.open()
    try:
        declare(opened, "amqp")
    except ChannelError as error:
        logger.warning("the broker takes no events: %s", error)
    else:
        channel.usable = True
    return channel


def declare(channel: Any, driver: str) -> None:
    """Declare the exchange for events as Celery does."""
    kind = "fanout" if driver in FANOUT_DRIVERS else "topic"
    channel.exchange_declare(EXCHANGE, kind, durable=True, auto_delete=False)


def publish(channel: Any, routing_key: str, envelope: Envelope) -> None:
    """Publish events; nobody says whether they arrive."""
    message = channel.prepare_message(
        envelope.body,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        headers=dict(envelope.headers),
        properties={"delivery_mode": TRANSIENT},
    )
    channel.basic_publish(message, exchange=EXCHANGE, routing_key=routing_key)


class EventConnection:
    """A connection for events alone.

    A broker that is short of memory stops reading from those who publish: on the connection that
    messages come by, it would not hear of those that are done with.

    Args:
        broker: whom to connect to.
        on_blocked: is told when the broker blocks publishers, and when it no longer does.

    Raises:
        BrokerUnreachable: no connection could be made.
        ChannelError: the broker does not allow the exchange.
    """

    def __init__(self, broker: Broker, on_blocked: Callable[[bool], None]) -> None:
        self._connection = broker.connect(on_blocked=on_blocked)
        self._reads = broker.is_amqp
        try:
            self._channel: Any = self._connection.channel()
            declare(self._channel, self._connection.transport.driver_type)
        except BaseException:
            self.discard()
            raise

    def look(self) -> None:
        """Hear what the broker has to say, which is seldom anything."""
        if self._reads:
            inner: Any = self._connection.connection
            with suppress(TimeoutError):
                inner.drain_events(timeout=0)

    def publish(self, routing_key: str, envelope: Envelope) -> None:
        """Publish events."""
        publish(self._channel, routing_key, envelope)

    def close(self) -> None:
        """Close the connection in order."""
        connections.close(self._connection)

    def discard(self) -> None:
        """Drop the connection, which may be broken."""
        connections.discard(self._connection)
