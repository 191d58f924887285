from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.model.topology import Topology
from routewright.compiler.rabbitmq.exchange_types import DELAYED, DELAYED_TYPE, OWN_TYPES
from routewright.compiler.routing.routing import Routing


def malformed_delayed_type(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """An `x-delayed-message` exchange does not say as which type it routes.

    Its argument `x-delayed-type` names `direct`, `topic`, `fanout`, `headers` or another plugin's
    type; without it the broker refuses the exchange with 406. After its delay a message goes where
    an exchange of that type would send it. The plugin is not a part of RabbitMQ; this is what its
    documentation says.
    """
    for exchange in topology.exchanges.values():
        if exchange.type != DELAYED:
            continue
        named = exchange.arguments.get(DELAYED_TYPE)
        if named is None:
            yield Diagnostic(
                "malformed-delayed-type",
                f"the {DELAYED} exchange `{exchange.name}` has no `{DELAYED_TYPE}`",
                exchange.origin.span("type"),
                help=f"add `arguments: {{{DELAYED_TYPE}: topic}}`, or whatever it shall route as",
            )
        elif named not in OWN_TYPES and not _of_other_plugin(named):
            yield Diagnostic(
                "malformed-delayed-type",
                f"`{named}` is not a type that exchange `{exchange.name}` can route as",
                exchange.origin.span("arguments", DELAYED_TYPE),
                help=did_you_mean(str(named), OWN_TYPES)
                or "types are `direct`, `topic`, `fanout`, `headers`, and `x-...` for a plugin's",
            )


def _of_other_plugin(named: object) -> bool:
    return isinstance(named, str) and named.startswith("x-") and named != DELAYED
