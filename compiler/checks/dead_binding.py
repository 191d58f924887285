from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys.patterns import witness
from routewright.compiler.model.topology import Binding, Topology
from routewright.compiler.rabbitmq.exchange_types import KNOWN_TYPES
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.matching import pattern_of
from routewright.compiler.routing.routing import Routing


def dead_binding(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """No task of the file comes by a binding of an exchange that tasks are sent to.

    It may be left over from a task that is gone, or misspelt. Nothing is said of bindings to queues
    that only watch, nor of those that dead letters or an alternate exchange may come by, nor where
    the exchange is of a type that nothing is known of.
    """
    used = {
        id(hop.binding)
        for task in topology.tasks.values()
        for _, delivery in routing.deliveries_of(task)
        for hop in delivery.hops
    }
    published = {task.exchange.name for task in topology.tasks.values()}
    # A task that misses its binding is told of already, and this would be the same once more.
    published -= {
        task.exchange.name
        for task in topology.tasks.values()
        if any(it.outcome is Outcome.UNROUTABLE for _, it in routing.deliveries_of(task))
    }
    others = {it.dead_letter_exchange for it in topology.queues.values()}
    others |= {it.alternate_exchange for it in topology.every_exchange()}
    for binding in topology.bindings:
        source = binding.source.name
        queue = topology.queues.get(binding.destination.name)
        watched = queue is not None and queue.tap
        if id(binding) in used or source not in published or source in others or watched:
            continue
        if binding.source.routes_as not in KNOWN_TYPES:
            continue
        what = f"`{binding.key}`" if binding.key else "this binding"
        yield warning(
            "dead-binding",
            f"no task comes by {what} from exchange `{source}` to `{binding.destination.name}`",
            binding.origin.span("binding_key"),
            help="take it away, unless somebody else publishes such keys",
            witness=_smallest(binding),
        )


def _smallest(binding: Binding) -> str | None:
    """The smallest key that the binding matches; None where its exchange looks at headers."""
    pattern = pattern_of(binding, None) if binding.source.routes_as != "headers" else None
    return None if pattern is None else witness([pattern])
