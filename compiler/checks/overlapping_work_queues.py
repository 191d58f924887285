from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import combinations, islice

from routewright.compiler.analysis.paths import paths
from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.keys.header_sets import Undecidable
from routewright.compiler.keys.patterns import Undecided
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.delivery import Witness
from routewright.compiler.routing.routing import Routing

_MOST_PAIRS = 1000  # of one set of queues; a key that reaches so many is told of well enough


def overlapping_work_queues(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """Some key reaches two work queues, though no task uses such a key yet.

    The next task that is given one will run twice. Looked at are all keys, on the exchanges that
    tasks are sent to, with all headers that some binding tells apart; the key shown is the
    smallest, and the headers are as few as will do.
    """
    told = _told_of_tasks(topology, routing)
    for exchange in sorted({task.exchange.name for task in topology.tasks.values()} - {""}):
        for witness in _witnesses(exchange, routing):
            delivery = witness.delivery
            work = [name for name in delivery.queues if not topology.queues[name].tap]
            for pair in islice(combinations(work, 2), _MOST_PAIRS):
                if pair not in told:
                    told.add(pair)
                    yield _overlap(exchange, witness, pair)


def _witnesses(exchange: str, routing: Routing) -> Iterator[Witness]:
    """A message for each set of queues that it can reach; those without headers first."""
    # What cannot be told is said by `too_many_key_classes`.
    with suppress(Undecided):
        yield from routing.destinations(exchange)
    with suppress(Undecided, Undecidable):
        yield from routing.destinations_by_headers(exchange)


def _told_of_tasks(topology: Topology, routing: Routing) -> set[tuple[str, str]]:
    """The pairs that a task shows already, or is meant to reach."""
    return {
        pair
        for task in topology.tasks.values()
        for _, delivery in routing.deliveries_of(task)
        for pair in islice(
            combinations([name for name in delivery.queues if not topology.queues[name].tap], 2),
            _MOST_PAIRS,
        )
    }


def _overlap(exchange: str, witness: Witness, pair: tuple[str, str]) -> Diagnostic:
    one, other = pair
    first, *notes = paths(exchange, witness.delivery, pair)
    return warning(
        "overlapping-work-queues",
        f"{witness.shown} on exchange `{exchange}` would reach both work queues `{one}` and "
        f"`{other}`",
        first.span,
        help="narrow one of the bindings, or say `tap: true` on a queue that only watches",
        notes=(Note(first.message), *notes),
        witness=witness.key,
        headers=witness.headers,
    )
