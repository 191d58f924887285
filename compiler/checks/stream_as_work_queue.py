from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import path_of
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.rabbitmq.queue_arguments import STREAM
from routewright.compiler.routing.routing import Routing


def stream_as_work_queue(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A worker group consumes a stream.

    A stream keeps every message and shows all of them to each consumer, so that every worker would
    run every task, and again after each restart.
    """
    for group in topology.groups.values():
        for index, queue in enumerate(group.queues):
            if queue.type == STREAM:
                arrival = routing.arrivals.get(queue.name)
                yield Diagnostic(
                    "stream-as-work-queue",
                    f"worker group `{group.name}` consumes the stream `{queue.name}`, which would "
                    "give every task to every worker",
                    group.origin.span("queues", index),
                    help="make the queue `type: quorum`, or say `tap: true` on the stream and let "
                    "no worker group consume it",
                    notes=path_of(arrival, queue.name),
                    witness=arrival.key if arrival else None,
                )
