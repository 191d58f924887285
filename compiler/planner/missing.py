"""What a broker lacks of a topology, in the order to create it; nothing here touches one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from routewright.compiler.model.topology import PREDECLARED, Binding, Exchange, Queue, Topology
from routewright.compiler.plan.changes import Bind, Declaration, DeclareExchange, DeclareQueue
from routewright.compiler.plan.virtual_host import Present

_End: TypeAlias = tuple[type[Exchange | Queue], str]


def missing(topology: Topology, present: Present) -> tuple[Declaration, ...]:
    """The changes, in an order in which nothing refers to what is not there yet.

    Exchanges come first, each after its alternate exchange; then queues, whose dead-letter
    exchanges are there by now; then the bindings of queues; and last those of exchanges, so that no
    message is let into an exchange before it leads anywhere.
    """
    exchanges = [
        exchange for exchange in alternates_first(topology) if exchange.name not in PREDECLARED
    ]
    absent_exchanges = [it for it in exchanges if it.name not in present.exchanges]
    absent_queues = [
        queue for name, queue in sorted(topology.queues.items()) if name not in present.queues
    ]
    new: set[_End] = {(Exchange, exchange.name) for exchange in absent_exchanges}
    new |= {(Queue, queue.name) for queue in absent_queues}
    bindings = [binding for binding in topology.bindings if binding.source.name]
    bindings.sort(key=lambda binding: isinstance(binding.destination, Exchange))
    return (
        *(DeclareExchange(exchange) for exchange in absent_exchanges),
        *(DeclareQueue(queue) for queue in absent_queues),
        *(Bind(binding, new=not new.isdisjoint(_ends(binding))) for binding in bindings),
    )


def _ends(binding: Binding) -> set[_End]:
    return {(type(end), end.name) for end in (binding.source, binding.destination)}


def alternates_first(topology: Topology) -> Iterator[Exchange]:
    """The exchanges by name, but each after its alternate; a circle starts anywhere."""
    seen: set[str] = set()

    def visit(name: str) -> Iterator[Exchange]:
        if name in seen or name not in topology.exchanges:
            return
        seen.add(name)
        exchange = topology.exchanges[name]
        if exchange.alternate_exchange is not None:
            yield from visit(exchange.alternate_exchange)
        yield exchange

    for name in sorted(topology.exchanges):
        yield from visit(name)
