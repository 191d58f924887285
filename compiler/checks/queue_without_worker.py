from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import path_of
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.graph import reachable
from routewright.compiler.routing.routing import Routing


def queue_without_worker(
    topology: Topology, routing: Routing, dead_letters: DeadLetters
) -> Iterator[Diagnostic]:
    """No worker group consumes a queue, so that what arrives there stays.

    Not said of the queue for parking, of a queue that only watches (`tap: true`), of one where dead
    letters are kept for somebody to look at, unless a task is sent there, nor of one whose messages
    wait there to expire and go on to a queue that is consumed. Without any worker group in the file
    nothing is known of who consumes what.
    """
    if not topology.groups:
        return
    consumed = {queue.name for group in topology.groups.values() for queue in group.queues}
    kept = _dead_letter_queues(topology, routing)
    for name, queue in topology.queues.items():
        if queue is topology.parking:
            continue
        if name in consumed or queue.tap or (name in kept and name not in routing.arrivals):
            continue
        if "x-message-ttl" in queue.effective and _goes_on(queue, consumed, dead_letters):
            continue
        arrival = routing.arrivals.get(name)
        yield Diagnostic(
            "queue-without-worker",
            f"no worker group consumes queue `{name}`",
            queue.origin.key_span(),
            help="add it to the `queues` of a worker group, or say `tap: true` on it",
            notes=path_of(arrival, name),
            witness=arrival.key if arrival else None,
        )


def _goes_on(queue: Queue, consumed: set[str], dead_letters: DeadLetters) -> bool:
    """Whether dead letters of a queue come to workers."""
    routes = dead_letters.routes(queue)
    return any(not consumed.isdisjoint(delivery.queues) for _, delivery in routes)


def _dead_letter_queues(topology: Topology, routing: Routing) -> set[str]:
    """The queues behind dead-letter exchanges, over bindings of exchanges to exchanges too."""
    queues = {
        queue.dead_letter_routing_key
        for queue in topology.queues.values()
        if queue.dead_letter_exchange == "" and queue.dead_letter_routing_key
    }
    exchanges = {queue.dead_letter_exchange or "" for queue in topology.queues.values()} - {""}
    for name in reachable(exchanges, lambda it: _led_to(it, Exchange, routing)):
        queues |= _led_to(name, Queue, routing)
    return queues


def _led_to(exchange: str, kind: type[Exchange | Queue], routing: Routing) -> set[str]:
    """The exchanges or the queues that an exchange is bound to."""
    ends = (it.destination for it in routing.graph.bindings_from(exchange))
    return {end.name for end in ends if isinstance(end, kind)}
