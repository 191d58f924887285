"""Values as AMQP carries them: short texts, and priorities on its scale."""

from __future__ import annotations

from routewright.runtime.router.limits import MAX_SHORT_STRING

LOWEST_PRIORITY = 9  # of ours, where 0 is the highest


def printable(value: object) -> str | None:
    """Returns a value that is a printable text, or None; any other could forge lines of a log."""
    return value if isinstance(value, str) and value and value.isprintable() else None


def short_string(value: object) -> str | None:
    """Returns a value that may name a queue or be the id of a task, or None."""
    text = printable(value)
    return text if text is not None and len(text.encode()) <= MAX_SHORT_STRING else None


def to_amqp(priority: int | None) -> int | None:
    """Returns a priority of ours on AMQP's scale, where the largest number is served first."""
    return None if priority is None else LOWEST_PRIORITY - priority


def from_amqp(priority: int | None) -> int | None:
    """Returns a priority of AMQP's on our scale; beyond nine it counts as nine."""
    return None if priority is None else min(max(LOWEST_PRIORITY - priority, 0), LOWEST_PRIORITY)
