from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.keys.header_sets import X_MATCHES
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing
from routewright.runtime.router.headers import X_MATCH


def malformed_x_match(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A headers binding says how to combine its headers in a word the broker does not know.

    `x-match` is `all` (also when it is left out), `any`, `all-with-x` or `any-with-x`; RabbitMQ
    refuses anything else with 406.
    """
    for binding in topology.bindings:
        if binding.source.routes_as != "headers":
            continue
        mode = binding.arguments.get(X_MATCH, "all")
        if mode not in X_MATCHES:
            yield Diagnostic(
                "malformed-x-match",
                f"`{mode}` is not a way to match headers",
                binding.origin.span("arguments", X_MATCH),
                help=did_you_mean(str(mode), X_MATCHES)
                or "ways are `all`, `any`, `all-with-x` and `any-with-x`",
            )
