"""Follows every key through several topologies, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from routewright.compiler.keys.header_sets import all_headers
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.model.task_keys import ANY_KEYS, Keys
from routewright.compiler.model.topology import Binding, Topology
from routewright.compiler.routing.delivery import Delivery
from routewright.compiler.routing.routing import Routing


@dataclass(frozen=True, slots=True)
class KeyInEach:
    """A class of keys that no topology tells apart: the smallest, and its delivery in each."""

    witness: str
    headers: Mapping[str, Any]
    deliveries: tuple[Delivery, ...]


def side_by_side(exchange: str, *topologies: Topology) -> Iterator[KeyInEach]:
    """Yields every class of keys of an exchange, with every set of headers.

    Raises:
        Undecided: they are too many to walk.
        Undecidable: so are the combinations of headers.
    """
    starts = [(Routing(it), exchange) for it in topologies]
    bindings = [it for topology in topologies for it in topology.bindings]
    for headers in all_headers(it.arguments for it in bindings if it.source.routes_as == "headers"):
        yield from with_headers(headers, starts)


def with_headers(
    headers: Mapping[str, Any], starts: Sequence[tuple[Routing, str]], keys: Keys = ANY_KEYS
) -> Iterator[KeyInEach]:
    """Yields every class of keys of messages with some headers.

    Args:
        headers: those of the messages.
        starts: each topology's routing, with the exchange that messages are published to there.
        keys: the keys to look at.

    Raises:
        Undecided: they are too many to walk.
    """
    table: PatternTable[tuple[int, Binding]] = PatternTable()
    for number, (routing, exchange) in enumerate(starts):
        for pattern, binding in routing.graph.cone(exchange, headers):
            table.add(pattern, (number, binding))
    for found in key_classes(table, [keys.within], keys.apart):
        deliveries = (
            routing.deliver(exchange, [it for of, it in found.values if of == number])
            for number, (routing, exchange) in enumerate(starts)
        )
        yield KeyInEach(found.witness, headers, tuple(deliveries))
