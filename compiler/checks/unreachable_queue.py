from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics import Diagnostic, Severity
from routewright.compiler.routing import Routing
from routewright.compiler.topology import Topology


def unreachable_queue(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """No message can get to a queue, nor do workers park any there.

    It is bound to nothing, or only to internal exchanges that nothing leads to. By the default
    exchange every queue can be reached by its name; this is said when no task and no dead letter
    of the file uses that. Without tasks in the file nothing is known of who publishes where.
    """
    if not topology.tasks:
        return
    live = _live_exchanges(topology)
    by_name = {task.routing_key for task in topology.tasks.values() if not task.exchange.name} | {
        queue.dead_letter_routing_key
        for queue in topology.queues.values()
        if queue.dead_letter_exchange == ""
    }
    for name, queue in topology.queues.items():
        sources = [binding.source.name for binding in routing.bindings_to(queue)]
        if queue is not topology.parking and name not in by_name and live.isdisjoint(sources):
            yield Diagnostic(
                "unreachable-queue",
                f"queue `{name}` is bound to nothing"
                if not sources
                else f"queue `{name}` is bound only to exchanges that no message gets to",
                queue.origin.key_span(),
                help="bind it to an exchange that tasks are sent to, or take it away",
                severity=Severity.WARNING,
            )


def _live_exchanges(topology: Topology) -> set[str]:
    """The exchanges that can be published to, or that such an exchange or a queue leads to."""
    live = {name for name, it in topology.exchanges.items() if not it.internal}
    live |= topology.predeclared.keys() - topology.exchanges.keys()
    live |= {queue.dead_letter_exchange or "" for queue in topology.queues.values()}
    waiting = list(live)
    following: dict[str, set[str]] = {}
    for binding in topology.bindings:
        following.setdefault(binding.source.name, set()).add(binding.destination.name)
    for exchange in topology.every_exchange():
        following.setdefault(exchange.name, set()).add(exchange.alternate_exchange or "")
    while waiting:
        for name in (following.get(waiting.pop(), set()) & topology.exchanges.keys()) - live:
            live.add(name)
            waiting.append(name)
    return live
