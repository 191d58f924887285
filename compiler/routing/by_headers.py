"""Routes keys with any headers: tries each set of headers that some binding tells apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from routewright.compiler.keys.header_sets import Undecidable, header_classes
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern
from routewright.compiler.model.topology import Binding, Exchange
from routewright.compiler.routing.delivery import (
    Delivery,
    Outcome,
    Witness,
    combined,
    distinct,
)
from routewright.compiler.routing.graph import Graph
from routewright.compiler.routing.walk import walk_by

MAX_STEPS = 1_000_000


class ByHeaders:
    """Answers where keys go with any headers."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._cones: dict[str, tuple[PatternTable[Binding], Sequence[Binding]]] = {}

    def matter(self, exchange: str) -> bool:
        """Whether some binding behind an exchange looks at headers."""
        return bool(self._cone(exchange)[1])

    def messages(self, exchange: str) -> Iterator[Witness]:
        """A message for each class of keys that meets bindings by headers, and each set of headers.

        Raises:
            Undecided: there are more classes of keys than are looked at.
            Undecidable: there are more combinations of headers.
        """
        table, by_headers = self._cone(exchange)
        if not by_headers:
            return
        sets = list(header_classes([it.arguments for it in by_headers], {"lang": "py"}))
        steps = 0
        for found in key_classes(table):
            by_key = [it for it in found.values if it.source.routes_as != "headers"]
            if not self._are_looked_at(exchange, found.values):
                continue
            for headers, matched in sets:
                bindings = [*by_key, *(by_headers[at] for at in matched)]
                deliveries = walk_by(self._graph, exchange, bindings)
                steps += len(deliveries) + len(bindings)
                if steps > MAX_STEPS:
                    raise Undecidable(f"more than {MAX_STEPS:,} keys with headers")
                for delivery in distinct(deliveries):
                    yield Witness(found.witness, delivery, headers)

    def whatever_they_are(
        self, exchange: str, within: Sequence[Pattern], apart: Sequence[Pattern]
    ) -> Iterator[tuple[str, Delivery]]:
        """Where every key goes, which is undecided where only some headers lead it to queues."""
        table, by_headers = self._cone(exchange)
        sets = [matched for _, matched in header_classes([it.arguments for it in by_headers], {})]
        steps = 0
        for found in key_classes(table, within, apart):
            by_key = [it for it in found.values if it.source.routes_as != "headers"]
            deliveries: list[Delivery] = []
            for matched in sets:
                bindings = [*by_key, *(by_headers[at] for at in matched)]
                deliveries += walk_by(self._graph, exchange, bindings)
                steps += len(bindings) + 1
                if steps > MAX_STEPS:
                    raise Undecidable(f"more than {MAX_STEPS:,} keys with headers")
            outcomes = {it.outcome for it in deliveries}
            if Outcome.UNROUTABLE in outcomes and len(outcomes) > 1:
                either = combined(distinct(deliveries))
                yield found.witness, replace(either, outcome=Outcome.UNDECIDED, one_of=())
            else:
                for delivery in distinct(deliveries):
                    yield found.witness, delivery

    def _are_looked_at(self, exchange: str, bindings: Iterable[Binding]) -> bool:
        """Whether a message that matches these bindings comes to an exchange that does."""
        first = self._graph.topology.exchange(exchange)
        deliveries = walk_by(self._graph, exchange, bindings)
        ends = (hop.destination for it in deliveries for hop in it.hops)
        return any(isinstance(it, Exchange) and it.routes_as == "headers" for it in (first, *ends))

    def _cone(self, exchange: str) -> tuple[PatternTable[Binding], Sequence[Binding]]:
        """The cone of an exchange for whatever headers, and its bindings that look at them."""
        if exchange not in self._cones:
            table: PatternTable[Binding] = PatternTable()
            by_headers = []
            for pattern, binding in self._graph.cone(exchange, None):
                table.add(pattern, binding)
                if binding.source.routes_as == "headers":
                    by_headers.append(binding)
            self._cones[exchange] = table, by_headers
        return self._cones[exchange]
