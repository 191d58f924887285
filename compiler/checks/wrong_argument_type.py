from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Span
from routewright.compiler.model.topology import Argument, Arguments, Topology, written_arguments
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE
from routewright.compiler.rabbitmq.queue_arguments import QUEUE_ARGUMENTS, ValueType
from routewright.compiler.routing.routing import Routing


def wrong_argument_type(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """An `x-` argument, or a key of a policy, has a value of the wrong type.

    RabbitMQ compares types as well as values: `x-message-ttl: "60000"` is refused with 406, and a
    few arguments are not looked at until a message meets them.
    """
    for exchange in topology.exchanges.values():
        span = exchange.origin.span("arguments", ALTERNATE_EXCHANGE)
        yield from _of_alternate(exchange.arguments, span)
    for policy in topology.policies.values():
        yield from _of_alternate(policy.definition, policy.key_span(ALTERNATE_EXCHANGE))
    for written, argument, value, span in written_arguments(topology):
        rule = QUEUE_ARGUMENTS.get(argument)
        if rule and not _is(value, rule.kind):
            yield Diagnostic(
                "wrong-argument-type",
                f"`{written}` is {value!r}, and {_WANTED[rule.kind]} is expected",
                span,
                help=_way_out(value, rule.kind),
            )


def _of_alternate(arguments: Arguments, span: Span | None) -> Iterator[Diagnostic]:
    alternate = arguments.get(ALTERNATE_EXCHANGE, "")
    if not isinstance(alternate, str):
        yield Diagnostic(
            "wrong-argument-type",
            f"`{ALTERNATE_EXCHANGE}` is {alternate!r}, and text is expected",
            span,
            help="write the name of an exchange",
        )


_WANTED: dict[ValueType, str] = {
    "integer": "a whole number",
    "text": "text",
    "boolean": "`true` or `false`",
}


def _is(value: Argument, kind: ValueType) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "text":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)


def _way_out(value: Argument, kind: ValueType) -> str:
    if kind == "integer" and isinstance(value, str) and value.isdigit():
        return "take the quotes away"
    return f"write {_WANTED[kind]}"
