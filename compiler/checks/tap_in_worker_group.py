from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import path_of
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def tap_in_worker_group(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A worker group consumes a queue that only watches.

    A worker runs what it gets, so that each task whose copy is there would run once more.
    """
    for group in topology.groups.values():
        for index, queue in enumerate(group.queues):
            if queue.tap:
                arrival = routing.arrivals.get(queue.name)
                yield Diagnostic(
                    "tap-in-worker-group",
                    f"worker group `{group.name}` consumes `{queue.name}`, which is a tap",
                    group.origin.span("queues", index),
                    help="take it out of the group, or take `tap: true` away",
                    notes=path_of(arrival, queue.name),
                    witness=arrival.key if arrival else None,
                )
