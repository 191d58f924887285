"""Reads and writes durations: `500ms`, `60s`, `5m`, `24h`, `7d`, or several as in `1h30m`."""

from __future__ import annotations

import re

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_WHOLE = re.compile(rf"({_PART.pattern})+")


class MalformedDuration(ValueError):
    """A text is not a duration."""


def read_duration(text: str) -> int:
    """Returns the milliseconds of a duration.

    Raises:
        MalformedDuration: the text is not a duration.
    """
    if not _WHOLE.fullmatch(text):
        raise MalformedDuration(f"`{text}` is not a duration")
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in _PART.findall(text))


def write_duration(milliseconds: int) -> str:
    """Returns a duration in the largest unit that divides it."""
    units = [unit for unit, size in _MILLISECONDS.items() if milliseconds % size == 0]
    unit = units[-1] if milliseconds else "ms"
    return f"{milliseconds // _MILLISECONDS[unit]}{unit}"
