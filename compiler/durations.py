"""Durations as people write them: `500ms`, `60s`, `5m`, `24h`, `7d`, or several as in `1h30m`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"([0-9]{1,15})(ms|s|m|h|d)")
_WHOLE = re.compile(rf"({_PART.pattern})+")
_EXAMPLES = "write a duration as `500ms`, `60s`, `5m`, `24h` or `7d`"


def milliseconds(written: Any) -> int:
    """The length of a duration, in milliseconds.

    Raises:
        PydanticCustomError: it is not written as a duration, or is a number without a unit.
    """
    if isinstance(written, str) and _WHOLE.fullmatch(written):
        return sum(int(count) * _MILLISECONDS[unit] for count, unit in _PART.findall(written))
    if isinstance(written, int | float) and not isinstance(written, bool):
        raise PydanticCustomError(
            "duration-without-unit",
            "the duration `{written}` has no unit",
            {"written": written, "help": f"`{written}s` or `{written}ms`?"},
        )
    raise PydanticCustomError(
        "malformed-duration",
        "`{written}` is not a duration",
        {"written": str(written), "help": _EXAMPLES},
    )


Duration = Annotated[int, BeforeValidator(milliseconds)]
"""A duration in the file, milliseconds in the program."""
