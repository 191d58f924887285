"""What arrives on a channel, as an envelope."""

from __future__ import annotations

from typing import Any

from routewright.runtime.messages.message import LOWEST_PRIORITY, Envelope


def envelope_of(raw: Any) -> Envelope:
    """The envelope of py-amqp's message.

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
        priority=_turned(found.get("priority")),
    )


def envelope_of_virtual(message: Any) -> Envelope:
    """The envelope of kombu's message from a virtual transport, which has our own priorities."""
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


def _turned(priority: int | None) -> int | None:
    """Priority on our scale, where 0 is the highest and what is above nine means no more."""
    return None if priority is None else max(LOWEST_PRIORITY - priority, 0)
