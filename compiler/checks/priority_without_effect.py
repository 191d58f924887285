from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import paths
from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.model.topology import Queue, Topology
from routewright.compiler.rabbitmq.queue_arguments import CLASSIC, QUORUM
from routewright.compiler.rabbitmq.targets import QUORUM_PRIORITIES, release
from routewright.compiler.routing.routing import Routing


def priority_without_effect(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task has a priority, and a queue that it reaches serves messages in the order they came.

    Streams always do, and quorum queues before RabbitMQ 4.0; from then on these know two levels, of
    which the guide's 0 to 4 are the higher. A classic queue serves by priority with `max_priority`.
    """
    known = release(topology.target)
    if known is None:
        return
    for task in topology.tasks.values():
        if task.priority is None or not task.origin.has("priority"):
            continue
        for key, delivery in routing.deliveries_of(task):
            in_turn = [
                queue
                for queue in (topology.queues[name] for name in delivery.queues)
                if not queue.tap and _serves_in_turn(queue, known)
            ]
            if in_turn:
                queue = in_turn[0]
                yield warning(
                    "priority-without-effect",
                    f"task `{task.name}` has a priority, and `{key}` leads to the {queue.type} "
                    f"queue `{queue.name}`, which has none on `{topology.target}`",
                    task.span_of("priority"),
                    help="make the queue classic with `max_priority: 9`, or take the priority away",
                    notes=(
                        Note("the queue is declared here", queue.origin.key_span()),
                        *paths(task.exchange.name, delivery, [queue.name]),
                    ),
                    witness=key,
                )
                break


def _serves_in_turn(queue: Queue, known: tuple[int, int]) -> bool:
    if queue.type == QUORUM:
        return known < QUORUM_PRIORITIES
    return queue.type != CLASSIC
