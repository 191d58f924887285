from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, islice

from routewright.compiler.diagnostics import Diagnostic, Note, Severity
from routewright.compiler.patterns import Undecided
from routewright.compiler.routing import Delivery, Routing
from routewright.compiler.topology import Queue, Topology

_MOST_PAIRS = 1000  # of one set of queues; a key that reaches so many is told of well enough


def overlapping_work_queues(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """Some key reaches two work queues, though no task uses such a key yet.

    The next task that is given one will run twice. Looked at are all keys, on the exchanges that
    tasks are sent to; the key shown is the smallest.
    """
    told = _told_of_tasks(topology, routing)
    for exchange in sorted({task.exchange.name for task in topology.tasks.values()} - {""}):
        try:
            destinations = routing.destinations(exchange)
        except Undecided:
            continue  # said by `too_many_key_classes`
        for witness, delivery in destinations.values():
            work = [name for name in delivery.queues if not topology.queues[name].tap]
            for pair in islice(combinations(work, 2), _MOST_PAIRS):
                if pair not in told:
                    told.add(pair)
                    yield _overlap(exchange, witness, pair, delivery)


def _told_of_tasks(topology: Topology, routing: Routing) -> set[tuple[str, str]]:
    """The pairs that a task shows already, or is meant to reach."""
    return {
        pair
        for task in topology.tasks.values()
        for _, delivery in routing.ways(task)
        for pair in islice(
            combinations([name for name in delivery.queues if not routing.is_tap(name)], 2),
            _MOST_PAIRS,
        )
    }


def _overlap(exchange: str, witness: str, pair: tuple[str, str], delivery: Delivery) -> Diagnostic:
    bindings = [
        hop.binding
        for name in pair
        for hop in delivery.hops
        if hop.binding and isinstance(hop.destination, Queue) and hop.destination.name == name
    ]
    one, other = pair
    return Diagnostic(
        "overlapping-work-queues",
        f"`{witness}` on exchange `{exchange}` would reach both work queues `{one}` and `{other}`",
        bindings[0].origin.span("binding_key") if bindings else None,
        help="narrow one of the binding keys, or say `tap: true` on a queue that only watches",
        notes=tuple(
            Note(
                f"`{it.key}` of `{it.source.name}` leads to `{it.destination.name}`",
                it.origin.span("binding_key"),
            )
            for it in bindings[1:]
        ),
        severity=Severity.WARNING,
        witness=witness,
    )
