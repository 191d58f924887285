"""What becomes of every key of an exchange in several topologies, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routewright.compiler.keys.header_sets import all_headers
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.model.topology import Binding, Topology
from routewright.compiler.routing.delivery import Delivery
from routewright.compiler.routing.routing import Routing


@dataclass(frozen=True, slots=True)
class Fates:
    """A class of keys that no topology tells apart: the smallest, and its delivery in each."""

    witness: str
    headers: Mapping[str, Any]
    deliveries: tuple[Delivery, ...]


def fates(exchange: str, *topologies: Topology) -> Iterator[Fates]:
    """All classes of keys of an exchange.

    Raises:
        Undecided: they are too many to walk.
        Undecidable: so are the combinations of headers.
    """
    routings = [Routing(it) for it in topologies]
    bindings = [it for topology in topologies for it in topology.bindings]
    for headers in all_headers(it.arguments for it in bindings if it.source.routes_as == "headers"):
        table: PatternTable[tuple[int, Binding]] = PatternTable()
        for at, routing in enumerate(routings):
            for pattern, binding in routing.cone(exchange, headers):
                table.add(pattern, (at, binding))
        for found in key_classes(table):
            yield Fates(
                found.witness,
                headers,
                tuple(
                    routing.deliver(exchange, [it for of, it in found.values if of == at])
                    for at, routing in enumerate(routings)
                ),
            )
