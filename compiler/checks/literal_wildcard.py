from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys.patterns import has_wildcard
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def literal_wildcard(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A binding to a direct exchange has a wildcard in its key.

    A direct exchange compares keys letter by letter: `video.#` matches the key `video.#` alone.
    """
    for binding in topology.bindings:
        if binding.source.routes_as == "direct" and has_wildcard(binding.key):
            yield warning(
                "literal-wildcard",
                f"the direct exchange `{binding.source.name}` has no wildcards, so `{binding.key}` "
                "matches only itself",
                binding.origin.span("binding_key"),
                help="make the exchange `type: topic`, or write the key in full",
            )
