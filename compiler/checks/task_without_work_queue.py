from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import paths
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.routing import Routing

_MOST_NOTES = 5


def task_without_work_queue(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task's message reaches only queues that watch, so that the task never runs.

    The broker confirms such a message: it has been delivered, to `tap` queues alone.
    """
    for task in topology.tasks.values():
        for key, delivery in routing.deliveries_of(task):
            if delivery.outcome is Outcome.DELIVERED and all(
                topology.queues[name].tap for name in delivery.queues
            ):
                names = ", ".join(f"`{name}`" for name in delivery.queues)
                yield Diagnostic(
                    "task-without-work-queue",
                    f"`{key}` of task `{task.name}` reaches only queues that watch, {names}",
                    task.key_span,
                    help="bind a work queue with this key, or take `tap: true` away",
                    notes=tuple(paths(task.exchange.name, delivery, delivery.queues[:_MOST_NOTES])),
                    witness=key,
                )
                break
