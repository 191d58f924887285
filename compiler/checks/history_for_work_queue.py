from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import path_of
from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.model.topology import Queue, Topology
from routewright.compiler.rabbitmq.exchange_types import RECENT_HISTORY
from routewright.compiler.routing.routing import Routing


def history_for_work_queue(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A queue that runs tasks is bound to an exchange that sends old messages to new bindings.

    An `x-recent-history` exchange keeps its last messages, 20 unless `x-recent-history-length` says
    otherwise. Whatever is bound to it gets these at once, by every new binding again: tasks that
    have run long ago run once more.
    """
    for binding in topology.bindings:
        if binding.source.type != RECENT_HISTORY:
            continue
        end = binding.destination
        reached = {end.name} if isinstance(end, Queue) else {*routing.graph.queues_behind(end.name)}
        work = sorted(
            name for name in reached & routing.arrivals.keys() if not topology.queues[name].tap
        )
        if work:
            yield warning(
                "history-for-work-queue",
                f"whenever `{end.name}` is bound anew to `{binding.source.name}`, queue "
                f"`{work[0]}` gets the last messages again, and their tasks run again",
                binding.origin.span("exchange"),
                help="bind it to a fanout exchange, or say `tap: true` if it only watches",
                notes=(
                    Note(
                        f"`{binding.source.name}` keeps its last messages",
                        binding.source.origin.span("type"),
                    ),
                    *path_of(routing.arrivals[work[0]], work[0]),
                ),
                witness=routing.arrivals[work[0]].key,
            )
