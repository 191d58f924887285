"""What leaves on a channel: the message with its properties, and what AMQP cannot carry."""

from __future__ import annotations

import math
from typing import Any

from amqp.serialization import dumps

from routewright.runtime.errors import EncodeError
from routewright.runtime.messages.message import Envelope
from routewright.runtime.router.route import Route

PERSISTENT = 2
MAX_HEADERS = 100_000  # bytes; they must fit one frame, which RabbitMQ allows 131,072


def prepare(channel: Any, envelope: Envelope, priority: int | None) -> Any:
    """A message of the channel's own kind, with the properties that are set."""
    properties = {
        "delivery_mode": PERSISTENT,
        "correlation_id": envelope.correlation_id,
        "reply_to": envelope.reply_to,
        "expiration": envelope.expiration,
    }
    return channel.prepare_message(
        envelope.body,
        priority=priority,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        headers=dict(envelope.headers),
        properties={name: value for name, value in properties.items() if value is not None},
    )


def check_headers(headers: dict[str, Any]) -> None:
    """Refuse headers that AMQP cannot carry, before they can harm a connection.

    Raises:
        EncodeError: a value of a type that AMQP has not, or too much of it.
    """
    try:
        size = len(dumps("F", (headers,)))
    except Exception as error:  # of many types: py-amqp's own, struct.error, UnicodeError
        raise EncodeError(f"the headers cannot be sent: {error}") from error
    if not _is_finite(headers):
        raise EncodeError("the headers cannot be sent: a number is infinite, or is none")
    if size > MAX_HEADERS:
        raise EncodeError(f"the headers take {size:,} bytes, of {MAX_HEADERS:,} at most")


def _is_finite(value: object) -> bool:
    """Whether no float in it is one over which RabbitMQ closes the connection (541)."""
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list() | tuple():
            return all(map(_is_finite, value))
        case _:
            return True


def described(route: Route) -> str:
    """A route as an error names it."""
    return f"task `{route.task}` (exchange `{route.exchange}`, routing key `{route.routing_key}`)"
