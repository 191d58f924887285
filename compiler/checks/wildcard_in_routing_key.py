from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.keys.patterns import has_wildcard
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def wildcard_in_routing_key(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A task is sent with a pattern for a routing key.

    Only binding keys have wildcards. In a routing key `*` and `#` are words like any other, so that
    `video.#` matches by accident what `video.compress` would match on purpose.
    """
    for task in topology.tasks.values():
        if has_wildcard(task.routing_key):
            yield Diagnostic(
                "wildcard-in-routing-key",
                f"the routing key `{task.routing_key}` of task `{task.name}` has a wildcard, "
                "which is an ordinary word there",
                task.key_span,
                help="write the key in full; only binding keys are patterns",
                witness=task.routing_key,
            )
