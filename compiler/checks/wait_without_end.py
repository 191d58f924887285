from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import path_of
from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys.patterns import witness
from routewright.compiler.model.topology import Queue, Topology, readers
from routewright.compiler.routing.matching import pattern_of
from routewright.compiler.routing.routing import Routing

_LETS_GO = frozenset({"x-message-ttl", "x-max-length", "x-max-length-bytes"})


def wait_without_end(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """Messages are to wait in a queue and to go on from there, and nothing makes them go.

    The queue has a dead-letter exchange and no consumer: this is how a delay, or a pause before
    another try, is built. But only a message that expires, or is one too many, is dead-lettered
    without a consumer, and the queue has neither a time to live nor a limit of its length.
    """
    read = readers(topology)
    for name, queue in topology.queues.items():
        waits = queue.dead_letter_exchange is not None and name not in read and not queue.tap
        if topology.groups and waits and _LETS_GO.isdisjoint(queue.effective):
            arrival = routing.arrivals.get(name)
            yield warning(
                "wait-without-end",
                f"messages in queue `{name}` wait for ever: nobody consumes it, and nothing sends "
                f"them on to exchange `{queue.dead_letter_exchange}`",
                queue.argument_span("x-dead-letter-exchange"),
                help="give the queue a `message_ttl`, or a worker group",
                notes=path_of(arrival, name),
                witness=arrival.key if arrival else _key_into(queue, routing),
            )


def _key_into(queue: Queue, routing: Routing) -> str | None:
    """The smallest key by which some message gets there."""
    patterns = (pattern_of(it, None) for it in routing.graph.bindings_to(queue))
    return next((witness([it]) for it in patterns if it is not None), None)
