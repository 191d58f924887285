"""Durations as people write them: `500ms`, `60s`, `5m`, `24h`, `7d`, or several as in `1h30m`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

MAX_EXPIRATION = 2**32 - 1  # milliseconds; RabbitMQ closes the channel on more

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


def _whole_seconds(length: int) -> int:
    if length % 1000:
        raise PydanticCustomError(
            "malformed-duration",
            "`{length}ms` is no whole number of seconds, which the broker counts here",
            {"length": length, "help": "write it in seconds: `60s`"},
        )
    return length


def _expiration(length: int) -> int:
    if length > MAX_EXPIRATION:
        raise PydanticCustomError(
            "malformed-duration",
            "a message cannot expire so late: AMQP has 32 bits for its milliseconds",
            {"help": "write `49d` or less"},
        )
    return length


Duration = Annotated[int, BeforeValidator(milliseconds)]
"""A duration in the file, milliseconds in the program."""

Seconds = Annotated[Duration, AfterValidator(_whole_seconds)]
"""A duration that the broker counts in whole seconds."""

Expiration = Annotated[Duration, AfterValidator(_expiration)]
"""How long a message may wait for a worker."""
