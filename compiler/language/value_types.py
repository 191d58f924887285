"""The types of single values in a topology file, each with the rule that it must keep.

A value that breaks its rule is refused with the code, the message and the help of a diagnostic.
"""

from __future__ import annotations

import keyword
import re
from typing import Annotated, Any, LiteralString

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from routewright.compiler.diagnostics.diagnostic import did_you_mean
from routewright.compiler.model.durations import MalformedDuration, read_duration
from routewright.compiler.model.policies import MalformedPattern, regular_expression
from routewright.compiler.rabbitmq.queue_arguments import MAX_EXPIRATION

ACKNOWLEDGE = ("late", "early")
APPLIES_TO = ("queues", "exchanges", "all", "classic_queues", "quorum_queues", "streams")

_MODULE_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_TARGET = re.compile(r"rabbitmq-[34](\.(x|[0-9]{1,3}))?|redis|memory")


def invalid(code: LiteralString, message: str, help_: str | None) -> PydanticCustomError:
    """Returns the error that a validator raises, from which a diagnostic is made."""
    # The message is inserted last: it may quote braces from the file.
    return PydanticCustomError(code, "{message}", {"help": help_, "message": message})


def _module_name(name: str) -> str:
    if not _MODULE_NAME.fullmatch(name) or keyword.iskeyword(name):
        raise invalid(
            "malformed-name",
            f"`{name}` cannot be the name of a topology, which names a Python package",
            "use small letters, digits and `_`, a letter first: `media`",
        )
    return name


def _target(target: str) -> str:
    if not _TARGET.fullmatch(target):
        raise invalid(
            "unknown-target",
            f"`{target}` is not something a topology can run on",
            "targets are `rabbitmq-3.x`, `rabbitmq-3.10` and the like, "
            "`rabbitmq-4.x`, `redis` and `memory`",
        )
    return target


def _milliseconds(written: Any) -> int:
    if isinstance(written, int | float) and not isinstance(written, bool):
        raise invalid(
            "duration-without-unit",
            f"the duration `{written}` has no unit",
            f"`{written}s` or `{written}ms`?",
        )
    try:
        return read_duration(str(written))
    except MalformedDuration as error:
        examples = "write a duration as `500ms`, `60s`, `5m`, `24h` or `7d`"
        raise invalid("malformed-duration", str(error), examples) from None


def _whole_seconds(length: int) -> int:
    if length % 1000:
        raise invalid(
            "malformed-duration",
            f"`{length}ms` is no whole number of seconds, which the broker counts here",
            "write it in seconds: `60s`",
        )
    return length


def _expiration(length: int) -> int:
    if length > MAX_EXPIRATION:
        raise invalid(
            "malformed-duration",
            "a message cannot expire so late: AMQP has 32 bits for its milliseconds",
            "write `49d` or less",
        )
    return length


def _header(value: Any) -> Any:
    if isinstance(value, str | int | float):
        return value
    raise invalid("wrong-type", "a header is text, a number or a boolean", "write `name: value`")


def _policy_pattern(pattern: str) -> str:
    try:
        regular_expression(pattern)
    except MalformedPattern as error:
        raise invalid(
            "malformed-policy",
            f"`{pattern}` cannot be the pattern of a policy: {error}",
            "write a regular expression, as `^orders\\.`",
        ) from None
    return pattern


def _applies_to(kind: str) -> str:
    if kind not in APPLIES_TO:
        raise invalid(
            "malformed-policy",
            f"a policy does not apply to `{kind}`",
            did_you_mean(kind, APPLIES_TO, f"write one of {', '.join(APPLIES_TO)}"),
        )
    return kind


def _acknowledge(when: str) -> str:
    if when not in ACKNOWLEDGE:
        raise invalid(
            "malformed-acknowledge",
            f"a message is not acknowledged `{when}`",
            "write `late` (when its task is over) or `early` (before)",
        )
    return when


ModuleName = Annotated[str, AfterValidator(_module_name)]
Target = Annotated[str, AfterValidator(_target)]

Duration = Annotated[int, BeforeValidator(_milliseconds)]
"""A duration in the file, milliseconds in the program."""

Seconds = Annotated[Duration, AfterValidator(_whole_seconds)]
"""A duration that the broker counts in whole seconds."""

Expiration = Annotated[Duration, AfterValidator(_expiration)]
"""The time for which a message may wait for a worker."""

Header = Annotated[Any, AfterValidator(_header)]
PolicyPattern = Annotated[str, AfterValidator(_policy_pattern)]
AppliesTo = Annotated[str, AfterValidator(_applies_to)]
Acknowledge = Annotated[str, AfterValidator(_acknowledge)]
