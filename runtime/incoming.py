"""What arrives on a channel, as an envelope."""

from __future__ import annotations

from typing import Any

from routewright.runtime.message import LOWEST_PRIORITY, Envelope


def envelope_of(message: Any) -> Envelope:
    """The envelope of kombu's message from an AMQP channel."""
    return _envelope(message, turned(message.properties.get("priority")))


def envelope_of_virtual(message: Any) -> Envelope:
    """The envelope of kombu's message from a virtual transport, which has our own priorities."""
    return _envelope(message, message.properties.get("priority"))


def turned(priority: int | None) -> int | None:
    """Priority on our scale, where 0 is the highest and what is above nine means no more."""
    return None if priority is None else max(LOWEST_PRIORITY - priority, 0)


def _envelope(message: Any, priority: int | None) -> Envelope:
    return Envelope(
        body=message.body,
        content_type=message.content_type or "",
        content_encoding=message.content_encoding or "",
        headers=message.headers,
        correlation_id=message.properties.get("correlation_id"),
        reply_to=message.properties.get("reply_to"),
        priority=priority,
    )
