"""The form of a parked message: its notes in headers, as they are written, read and taken off."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from routewright.runtime.messages.message import Envelope
from routewright.runtime.messages.short_repr import in_line, short_repr
from routewright.runtime.sending.resending import as_new
from routewright.runtime.sending.retrying import HISTORY
from routewright.runtime.transport.consumer import Delivery

REASON = "routewright-reason"
TIME = "routewright-parked-at"
QUEUE = "routewright-parked-from"
TRACEBACK = "routewright-traceback"
REQUEUED = "routewright-requeued-at"
LOST_HEADERS = "routewright-headers"  # the text of headers that cannot be sent as they were

MOST_REASON = 500  # characters
MOST_TRACEBACK = 8_000
MOST_LOST = 2_000
SHOWN = 2_000  # of a body


@dataclass(frozen=True, slots=True)
class ParkedMessage:
    """A parked message. `id` is the task's, or `~` and a hash of what has none."""

    id: str
    task: str | None
    queue: str | None
    reason: str | None
    time: str | None
    envelope: Envelope

    @classmethod
    def of(cls, envelope: Envelope) -> ParkedMessage:
        """Reads the notes in a message's headers."""
        headers = envelope.headers

        def text(name: str) -> str | None:
            value = headers.get(name)
            return value if isinstance(value, str) else None

        named = envelope.correlation_id or text("id")
        return cls(
            named or f"~{_hash(envelope)}",
            text("task"),
            text(QUEUE),
            text(REASON),
            text(TIME),
            envelope,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the message in short, for programs."""
        return {
            "id": self.id,
            "task": self.task,
            "queue": self.queue,
            "reason": self.reason,
            "time": self.time,
        }

    def as_whole(self) -> dict[str, Any]:
        """Returns all about the message. A body that is no text is shown as its `repr`."""
        headers = dict(self.envelope.headers)
        notes = (QUEUE, REASON, TIME)
        body = self.envelope.body
        with suppress(UnicodeDecodeError, AttributeError):
            body = bytes(body).decode()  # type: ignore[arg-type]
        return {
            **self.as_dict(),
            "traceback": headers.pop(TRACEBACK, None),
            "history": headers.pop(HISTORY, []),
            "content_type": self.envelope.content_type,
            "headers": {k: _plain(v) for k, v in headers.items() if k not in notes},
            "body": body[:SHOWN] if isinstance(body, str) else short_repr(body, SHOWN),
        }


def with_notes(delivery: Delivery, reason: str, traceback: str | None) -> Envelope:
    """Returns the message of a delivery, with the reason, the time and the queue in headers."""
    envelope = delivery.envelope
    headers: Mapping[str, Any] = envelope.headers if isinstance(envelope.headers, Mapping) else {}
    notes = {
        REASON: in_line(reason)[:MOST_REASON],
        TIME: datetime.now(UTC).isoformat(),
        QUEUE: delivery.queue,
    }
    if traceback:
        notes[TRACEBACK] = traceback[-MOST_TRACEBACK:]
    kept = as_new(replace(envelope, headers=headers))
    return replace(kept, headers={**kept.headers, **notes})


def requeued(envelope: Envelope) -> Envelope:
    """Returns a parked message as it is tried afresh, without its notes."""
    notes = (REASON, TIME, QUEUE, TRACEBACK)
    headers = {name: value for name, value in envelope.headers.items() if name not in notes}
    if isinstance(headers.get("retries"), int):
        headers["retries"] = 0
    if "eta" in headers:
        headers["eta"] = None
    headers[REQUEUED] = datetime.now(UTC).isoformat()
    return replace(as_new(envelope), headers=headers)


def with_text_alone(envelope: Envelope) -> Envelope:
    """Returns the message with only those headers that surely can be sent."""
    notes = {k: v for k, v in envelope.headers.items() if k in (REASON, TIME, QUEUE)}
    others = {k: v for k, v in envelope.headers.items() if k not in notes and k != TRACEBACK}
    return replace(envelope, headers={**notes, LOST_HEADERS: short_repr(others, MOST_LOST)})


def _hash(envelope: Envelope) -> str:
    text = repr((envelope.body, sorted(map(repr, envelope.headers.items()))))
    return blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    return (
        value if isinstance(value, (str, int, float, bool, type(None))) else short_repr(value, 500)
    )
