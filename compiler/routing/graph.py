"""The graph of a topology: its exchanges, the bindings between them, and alternate exchanges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from routewright.compiler.keys.patterns import Pattern
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.routing.matching import pattern_of


def reachable(first: Iterable[str], onward: Callable[[str], Iterable[str]]) -> Iterator[str]:
    """Yields the names of some exchanges and of all that follow them, each once.

    `onward` gives the names that follow one. It is called after that one was yielded.
    """
    waiting = list(dict.fromkeys(first))
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        yield name
        for following in onward(name):
            if following not in seen:
                seen.add(following)
                waiting.append(following)


class Graph:
    """The bindings from each exchange of a topology, and those to it."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._from: defaultdict[str, list[Binding]] = defaultdict(list)
        self._to_queues: defaultdict[str, list[Binding]] = defaultdict(list)
        self._to_exchanges: defaultdict[str, list[Binding]] = defaultdict(list)
        for binding in topology.bindings:
            self._from[binding.source.name].append(binding)
            end = binding.destination
            to = self._to_queues if isinstance(end, Queue) else self._to_exchanges
            to[end.name].append(binding)

    def bindings_from(self, exchange: str) -> Sequence[Binding]:
        """The bindings that lead away from an exchange."""
        return self._from.get(exchange, ())

    def bindings_to(self, end: Exchange | Queue) -> Sequence[Binding]:
        """The bindings that lead to an exchange or a queue."""
        to = self._to_queues if isinstance(end, Queue) else self._to_exchanges
        return to.get(end.name, ())

    def alternate_of(self, exchange: Exchange) -> Exchange | None:
        """The alternate exchange of an exchange, if there is one of that name."""
        name = exchange.alternate_exchange
        return None if name is None else self.topology.exchange(name)

    def reachable(self, *exchanges: str) -> Iterator[str]:
        """Yields some exchanges, and those that some message can reach from there."""
        return reachable(exchanges, lambda it: self._followed(it, self.bindings_from(it)))

    def queues_behind(self, *exchanges: str) -> Iterator[str]:
        """Yields the queues that some message can reach from some exchanges, perhaps twice."""
        for name in self.reachable(*exchanges):
            for binding in self.bindings_from(name):
                if isinstance(binding.destination, Queue):
                    yield binding.destination.name

    def cone(
        self, exchange: str, headers: Mapping[str, Any] | None
    ) -> Iterator[tuple[Pattern, Binding]]:
        """Yields the bindings of each exchange that a message can reach, with the keys they match.

        With None they are those of messages with any headers.
        """
        if self.topology.exchange(exchange) is None:
            return
        matched: list[tuple[Pattern, Binding]] = []

        def onward(name: str) -> Iterator[str]:
            return self._followed(name, (binding for _, binding in matched))

        for name in reachable([exchange], onward):
            patterns = ((pattern_of(it, headers), it) for it in self.bindings_from(name))
            matched = [(pattern, it) for pattern, it in patterns if pattern is not None]
            yield from matched

    def _followed(self, exchange: str, bindings: Iterable[Binding]) -> Iterator[str]:
        """The exchanges that follow one: its alternate, and those that some bindings lead to."""
        source = self.topology.exchange(exchange)
        alternate = None if source is None else self.alternate_of(source)
        ends = (binding.destination for binding in bindings)
        for end in chain([alternate] if alternate else [], ends):
            if isinstance(end, Exchange):
                yield end.name
