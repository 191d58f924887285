"""Where keys go with whatever headers, of which each set that some binding tells apart is tried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from routewright.compiler.keys.header_sets import Undecidable, header_classes
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern
from routewright.compiler.model.topology import Binding, Exchange, Topology
from routewright.compiler.routing.delivery import Delivery, Outcome, Witness, distinct, merged

MAX_STEPS = 1_000_000


class Graph(Protocol):
    """The bindings behind an exchange, and what becomes of a message that matches some of them."""

    def cone(
        self, exchange: str, headers: Mapping[str, Any] | None
    ) -> Iterator[tuple[Pattern, Binding]]:
        """The bindings of every exchange that a message may come to, and the keys they match."""
        ...

    def fates_of(self, exchange: str, bindings: Iterable[Binding]) -> Sequence[Delivery]:
        """All that may become of a message that matches just these bindings."""
        ...


class ByHeaders:
    """Where keys go with whatever headers."""

    def __init__(self, topology: Topology, graph: Graph) -> None:
        self._topology = topology
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
                fates = self._graph.fates_of(exchange, bindings)
                steps += len(fates) + len(bindings)
                if steps > MAX_STEPS:
                    raise Undecidable(f"more than {MAX_STEPS:,} keys with headers")
                for fate in distinct(fates):
                    yield Witness(found.witness, fate, headers)

    def whatever_they_are(
        self, exchange: str, within: Sequence[Pattern], apart: Sequence[Pattern]
    ) -> Iterator[tuple[str, Delivery]]:
        """Where every key goes, which is undecided where only some headers lead it to queues."""
        table, by_headers = self._cone(exchange)
        sets = [matched for _, matched in header_classes([it.arguments for it in by_headers], {})]
        steps = 0
        for found in key_classes(table, within, apart):
            by_key = [it for it in found.values if it.source.routes_as != "headers"]
            fates: list[Delivery] = []
            for matched in sets:
                bindings = [*by_key, *(by_headers[at] for at in matched)]
                fates += self._graph.fates_of(exchange, bindings)
                steps += len(bindings) + 1
                if steps > MAX_STEPS:
                    raise Undecidable(f"more than {MAX_STEPS:,} keys with headers")
            outcomes = {fate.outcome for fate in fates}
            if Outcome.UNROUTABLE in outcomes and len(outcomes) > 1:
                either = merged(distinct(fates))
                yield found.witness, replace(either, outcome=Outcome.UNDECIDED, one_of=())
            else:
                for fate in distinct(fates):
                    yield found.witness, fate

    def _are_looked_at(self, exchange: str, bindings: Iterable[Binding]) -> bool:
        """Whether a message that matches these bindings comes to an exchange that does."""
        first = self._topology.exchange(exchange)
        fates = self._graph.fates_of(exchange, bindings)
        ends = (hop.destination for fate in fates for hop in fate.hops)
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
