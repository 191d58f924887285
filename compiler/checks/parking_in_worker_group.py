from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def parking_in_worker_group(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A worker group consumes the queue for parking.

    What a worker cannot deal with would come back to it, be parked again, and so on without end.
    """
    if topology.parking is None:
        return
    for group in topology.groups.values():
        for index, queue in enumerate(group.queues):
            if queue.name == topology.parking.name:
                yield Diagnostic(
                    "parking-in-worker-group",
                    f"worker group `{group.name}` consumes `{queue.name}`, where workers park",
                    group.origin.span("queues", index),
                    help="take it out of the group, or park in a queue of its own",
                    notes=(Note("it is declared here", queue.origin.key_span()),),
                )
