from __future__ import annotations

from collections.abc import Iterator, Sequence

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.model.topology import Task, Topology, WorkerGroup
from routewright.compiler.routing.routing import Routing

_MOST_NAMES = 5  # of tasks, in one message


def group_without_code(
    topology: Topology, routing: Routing, without_code: Sequence[Task]
) -> Iterator[Diagnostic]:
    """A worker group gets tasks for which the application has no code."""
    for group in topology.groups.values():
        arriving = _arriving(group, routing, without_code)
        if arriving:
            names = ", ".join(f"`{name}`" for name in list(arriving)[:_MOST_NAMES])
            more = len(arriving) - _MOST_NAMES
            names += f" and {more} more" if more > 0 else ""
            first, _ = next(iter(arriving.values()))
            yield Diagnostic(
                "group-without-code",
                f"worker group `{group.name}` gets {names}, for which the application has no code",
                group.origin.key_span(),
                help="import the modules, or send the tasks to the queues of another group",
                notes=tuple(
                    Note(f"`{key}` of task `{name}` comes by {_queues(key, task, routing)}")
                    for name, (key, task) in list(arriving.items())[:_MOST_NAMES]
                ),
                witness=first,
            )


def _arriving(
    group: WorkerGroup, routing: Routing, tasks: Sequence[Task]
) -> dict[str, tuple[str, Task]]:
    """The tasks that reach a worker group, by name, each with its first key that does."""
    queues = {queue.name for queue in group.queues if not queue.tap}
    return {
        task.name: (key, task)
        for task in tasks
        for key, delivery in reversed(routing.deliveries_of(task))
        if not queues.isdisjoint(delivery.queues)
    }


def _queues(key: str, task: Task, routing: Routing) -> str:
    deliveries = (it for other, it in routing.deliveries_of(task) if other == key)
    queues = {name for delivery in deliveries for name in delivery.queues}
    return "queue " + ", ".join(f"`{name}`" for name in sorted(queues))
