from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.model.topology import Topology
from routewright.compiler.rabbitmq.exchange_types import OWN_TYPES
from routewright.compiler.routing.routing import Routing


def unknown_exchange_type(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """An exchange has a type that RabbitMQ does not know.

    Declaring it closes the whole connection with 503. Types of plugins begin with `x-`, as
    `x-delayed-message` does, and are let through.
    """
    for exchange in topology.exchanges.values():
        if exchange.type not in OWN_TYPES and not exchange.type.startswith("x-"):
            yield Diagnostic(
                "unknown-exchange-type",
                f"`{exchange.type}` is not a type of exchange",
                exchange.origin.span("type"),
                help=did_you_mean(exchange.type, OWN_TYPES)
                or "types are `direct`, `topic`, `fanout`, `headers`, and `x-...` for a plugin's",
            )
