from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def ignored_binding_key(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A binding has a key, and its exchange is of a type that does not look at keys.

    A fanout exchange passes on every message, a headers exchange decides by headers alone.
    """
    for binding in topology.bindings:
        if binding.key and binding.source.routes_as in ("fanout", "headers"):
            yield Diagnostic(
                "ignored-binding-key",
                f"the {binding.source.type} exchange `{binding.source.name}` does not look at the "
                f"binding key `{binding.key}`",
                binding.origin.span("binding_key"),
                help="take the key away, or make the exchange `type: topic`",
            )
