from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def ignored_binding_arguments(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A binding has arguments, and its exchange is of a type that does not look at them.

    Only a headers exchange does. RabbitMQ stores them all the same, and counts two bindings that
    differ in nothing else as two.
    """
    for binding in topology.bindings:
        if binding.arguments and binding.source.routes_as in ("direct", "topic", "fanout"):
            yield Diagnostic(
                "ignored-binding-arguments",
                f"the {binding.source.type} exchange `{binding.source.name}` does not look at the "
                "arguments of a binding",
                binding.origin.key_span("arguments"),
                help="take them away, or make the exchange `type: headers`",
            )
