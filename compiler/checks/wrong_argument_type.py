from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.arguments import QUEUE_ARGUMENTS, Kind
from routewright.compiler.diagnostics import Diagnostic
from routewright.compiler.routing import Routing
from routewright.compiler.topology import Argument, Topology


def wrong_argument_type(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """An `x-` argument has a value of the wrong type.

    RabbitMQ compares types as well as values: `x-message-ttl: "60000"` is refused with 406, and a
    few arguments are not looked at until a message meets them.
    """
    for exchange in topology.exchanges.values():
        alternate = exchange.arguments.get("alternate-exchange", "")
        if not isinstance(alternate, str):
            yield Diagnostic(
                "wrong-argument-type",
                f"`alternate-exchange` is {alternate!r}, and text is expected",
                exchange.origin.span("arguments", "alternate-exchange"),
                help="write the name of an exchange",
            )
    for queue in topology.queues.values():
        for argument, value in queue.arguments.items():
            rule = QUEUE_ARGUMENTS.get(argument)
            if rule and not _is(value, rule.kind):
                yield Diagnostic(
                    "wrong-argument-type",
                    f"`{argument}` is {value!r}, and {_WANTED[rule.kind]} is expected",
                    queue.argument_span(argument),
                    help=_way_out(value, rule.kind),
                )


_WANTED: dict[Kind, str] = {
    "integer": "a whole number",
    "text": "text",
    "boolean": "`true` or `false`",
}


def _is(value: Argument, kind: Kind) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)


def _way_out(value: Argument, kind: Kind) -> str:
    if kind == "integer" and isinstance(value, str) and value.isdigit():
        return "take the quotes away"
    return f"write {_WANTED[kind]}"
