from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import paths
from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.model.topology import Topology, WorkerGroup, readers
from routewright.compiler.routing.routing import Routing


def serializer_not_accepted(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task is sent by a serializer that a worker group which gets it does not read.

    A group reads JSON, YAML and msgpack unless it says `accept: [...]`, and refuses every other
    message. Reading a pickle runs whatever code its sender put into it, so that both sides must ask
    for it: the task by `serializer`, and the group by `accept`.
    """
    reads = readers(topology)
    for task in topology.tasks.values():
        told: set[str] = set()
        for key, delivery in routing.deliveries_of(task):
            for group in (it for name in delivery.queues for it in reads.get(name, ())):
                if group.name in told or _reads(group, task.serializer):
                    continue
                told.add(group.name)
                queue = next(it.name for it in group.queues if it.name in delivery.queues)
                listed = ", ".join([*group.accept, task.serializer])
                yield Diagnostic(
                    "serializer-not-accepted",
                    f"task `{task.name}` is sent as {task.serializer}, and worker group "
                    f"`{group.name}`, which gets `{key}` by queue `{queue}`, does not read that",
                    task.span_of("serializer"),
                    help=f"say `accept: [{listed}]` in the group, or choose another serializer",
                    notes=(
                        Note(
                            f"`{group.name}` reads {', '.join(group.accept) or 'nothing'}",
                            group.origin.span("accept")
                            if group.origin.has("accept")
                            else group.origin.key_span(),
                        ),
                        *paths(task.exchange.name, delivery, [queue]),
                    ),
                    witness=key,
                )


def _reads(group: WorkerGroup, serializer: str) -> bool:
    return serializer.lower() in map(str.lower, group.accept)
