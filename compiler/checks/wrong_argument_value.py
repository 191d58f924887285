from __future__ import annotations

import re
from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.model.durations import write_duration
from routewright.compiler.model.topology import Argument, Topology, written_arguments
from routewright.compiler.rabbitmq.queue_arguments import QUEUE_ARGUMENTS, ArgumentRule
from routewright.compiler.routing.routing import Routing

_DURATIONS = ("x-message-ttl", "x-expires")  # in milliseconds
_AGE = re.compile(r"0*[1-9][0-9]*[YMDhms]")


def wrong_argument_value(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """An `x-` argument, or a key of a policy, has a value that the broker does not take.

    A number is outside of its range (a time to live beyond ten years, a priority above 255), or a
    word is none of those that the argument knows. RabbitMQ refuses most of them with 406, and an
    unknown `x-queue-master-locator` closes the connection with 541.
    """
    for written, argument, value, span in written_arguments(topology):
        rule = QUEUE_ARGUMENTS.get(argument)
        wrong = _what_is_wrong(argument, rule, value) if rule else None
        if wrong:
            message, way_out = wrong
            yield Diagnostic(
                "wrong-argument-value",
                f"`{written}` is {value!r}, {message}",
                span,
                help=way_out,
            )


def shown(argument: str, value: int) -> str:
    """A number as it is written in the file, where durations have a unit."""
    return f"`{write_duration(value)}`" if argument in _DURATIONS else str(value)


def _what_is_wrong(argument: str, rule: ArgumentRule, value: Argument) -> tuple[str, str] | None:
    """What to say of a value of the right type, and the way out; None where it is fine."""
    match value:
        case bool():
            return None
        case int() if value < rule.least:
            return f"and the least is {rule.least}", f"write {shown(argument, rule.least)} or more"
        case int() if value > rule.most:
            return f"and the most is {rule.most}", f"write {shown(argument, rule.most)} or less"
        case str() if rule.choices and value not in rule.choices:
            choices = ", ".join(f"`{choice}`" for choice in rule.choices)
            way_out = did_you_mean(value, rule.choices) or "choose one of these"
            return f"and the broker knows {choices}", way_out
        case str() if argument == "x-max-age" and not _AGE.fullmatch(value):
            return "which is no age", "write the option `max_age: 7d`"
        case _:
            return None
