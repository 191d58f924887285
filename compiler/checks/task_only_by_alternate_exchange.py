from __future__ import annotations

from collections.abc import Collection, Iterator

from routewright.compiler.analysis.paths import paths
from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.diagnostics.source import Span
from routewright.compiler.keys.patterns import Wild
from routewright.compiler.lowering.carving import fronts
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.delivery import Delivery, Hop
from routewright.compiler.routing.matching import pattern_of
from routewright.compiler.routing.routing import Routing

_MOST_NOTES = 5


def task_only_by_alternate_exchange(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """No binding matches a task's key, and an alternate exchange that takes every key hides it.

    The message is not returned to its publisher: it lies with whatever nobody wanted.
    """
    meant = set(fronts(topology).values())  # what is not carved out falls through
    for task in topology.tasks.values():
        for key, delivery in routing.deliveries_of(task):
            hidden = _caught(delivery, meant)
            if hidden is None:
                continue
            yield warning(
                "task-only-by-alternate-exchange",
                f"no binding matches `{key}` of task `{task.name}`; only the "
                f"alternate exchange of `{hidden.exchange}` takes it, as it takes every key",
                task.key_span,
                help="bind a queue with this key, or change the key",
                notes=(
                    Note(
                        f"`{hidden.destination.name}` is the alternate exchange",
                        _alternate_span(topology, hidden),
                    ),
                    *paths(task.exchange.name, delivery, delivery.queues[:_MOST_NOTES]),
                ),
                witness=key,
            )
            break


def _alternate_span(topology: Topology, hop: Hop) -> Span | None:
    exchange = topology.exchange(hop.exchange)
    return exchange.alternate_span if exchange else None


def _caught(delivery: Delivery, meant: Collection[str]) -> Hop | None:
    """The step to an alternate exchange, where all that follows it would take any key."""
    falling = (hop for hop in delivery.hops if hop.exchange and not hop.binding)
    alternate = next((hop for hop in falling if hop.exchange not in meant), None)
    if alternate is None or not delivery.queues:
        return None
    bindings = [hop.binding for hop in delivery.hops if hop.binding]
    any_key = all(pattern_of(it, {}) == (Wild.MANY,) for it in bindings)
    return alternate if any_key else None
