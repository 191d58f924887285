from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import paths
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing

_MOST_NOTES = 5


def task_delivered_more_than_once(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task's message reaches two work queues, so that the task runs twice.

    Every queue whose binding matches gets a copy. Where that is meant, the task says `multicast:
    true`; a queue that only wants to see the messages, for audit or replay, says `tap: true`.
    """
    for task in topology.tasks.values():
        told: set[tuple[str, ...]] = set()
        for key, delivery in () if task.multicast else routing.deliveries_of(task):
            work = tuple(name for name in delivery.queues if not topology.queues[name].tap)
            if len(work) < 2 or work in told:  # noqa: PLR2004  two is one too many
                continue
            told.add(work)
            names = ", ".join(f"`{name}`" for name in work[:_MOST_NOTES])
            names += f" and {len(work) - _MOST_NOTES} more" if len(work) > _MOST_NOTES else ""
            yield Diagnostic(
                "task-delivered-more-than-once",
                f"`{key}` reaches {len(work)} work queues, {names}, and task `{task.name}` would "
                "run in each",
                task.key_span,
                help="narrow one of the binding keys; or say `multicast: true` on the task, or "
                "`tap: true` on a queue that only watches",
                notes=tuple(paths(task.exchange.name, delivery, work[:_MOST_NOTES])),
                witness=key,
            )
