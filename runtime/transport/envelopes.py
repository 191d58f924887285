"""Turns envelopes into messages of a channel, and what arrives on a channel into envelopes."""

from __future__ import annotations

import math
from typing import Any

from amqp.serialization import dumps

from routewright.runtime.errors import EncodeError
from routewright.runtime.messages.amqp_values import from_amqp
from routewright.runtime.messages.message import Envelope

PERSISTENT = 2
MAX_HEADERS = 100_000  # bytes; they must fit one frame, which RabbitMQ allows 131,072


def put(channel: Any, queue: str, envelope: Envelope, priority: int | None = None) -> None:
    """Publishes straight into a queue: a message of the channel's own kind."""
    properties = {
        "delivery_mode": PERSISTENT,
        "correlation_id": envelope.correlation_id,
        "reply_to": envelope.reply_to,
        "expiration": envelope.expiration,
    }
    message = channel.prepare_message(
        envelope.body,
        priority=priority,
        content_type=envelope.content_type,
        content_encoding=envelope.content_encoding,
        headers=dict(envelope.headers),
        properties={name: value for name, value in properties.items() if value is not None},
    )
    channel.basic_publish(message, exchange="", routing_key=queue)


def envelope_of(raw: Any) -> Envelope:
    """Returns the envelope of py-amqp's message.

    kombu's would be decompressed as it is made, whatever size it grows to.
    """
    found, body = raw.properties, raw.body
    headers = found.get("application_headers")
    return Envelope(
        body=body if isinstance(body, bytes) else bytes(body or "", "utf-8"),
        content_type=found.get("content_type") or "",
        content_encoding=found.get("content_encoding") or "",
        headers=headers if isinstance(headers, dict) else {},
        correlation_id=found.get("correlation_id"),
        reply_to=found.get("reply_to"),
        priority=from_amqp(found.get("priority")),
    )


def envelope_of_virtual(message: Any) -> Envelope:
    """Returns the envelope of kombu's message from a virtual transport; its priorities are ours."""
    headers = dict(message.headers)
    headers.pop("compression", None)  # kombu has undone it
    return Envelope(
        body=message.body,
        content_type=message.content_type or "",
        content_encoding=message.content_encoding or "",
        headers=headers,
        correlation_id=message.properties.get("correlation_id"),
        reply_to=message.properties.get("reply_to"),
        priority=message.properties.get("priority"),
    )


def check_headers(headers: dict[str, Any]) -> None:
    """Refuses headers that AMQP cannot carry, before they can harm a connection.

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
    """Returns False if it holds a float over which RabbitMQ closes the connection (541)."""
    match value:
        case float():
            return math.isfinite(value)
        case dict():
            return all(map(_is_finite, value.values()))
        case list() | tuple():
            return all(map(_is_finite, value))
        case _:
            return True
