"""The keys that messages have which get to a queue, however they came there.

The way is followed backwards: over the bindings that lead to the queue, over bindings of exchanges
to exchanges and alternate exchanges, and as a dead letter of other queues, up to the exchanges that
messages are published to. What a message had to match on its way, all of it, are its keys.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, exactly, matches
from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.routing.graph import Graph
from routewright.compiler.routing.matching import pattern_of

_MOST_WAYS = 200  # that lead to one queue
_MOST_STEPS = 20_000  # that are looked at to find them


@dataclass(frozen=True, slots=True)
class Way:
    """A way to a queue: the patterns on it, and the exchanges where an alternate one was used."""

    within: tuple[Pattern, ...] = ()
    passed_over: tuple[str, ...] = ()

    def by(self, pattern: Pattern) -> Way:
        """The way whose keys match one more pattern."""
        return Way(tuple(dict.fromkeys((*self.within, pattern))), self.passed_over)

    def past(self, exchange: str) -> Way:
        """The way whose keys no binding of one more exchange matches."""
        return Way(self.within, tuple(dict.fromkeys((*self.passed_over, exchange))))


_Step: TypeAlias = tuple[Exchange | Queue, Way, frozenset[tuple[type, str]]]
"""Where the walk is, the way from there to the queue, and what it has been through."""


class KeysInto:
    """The ways to the queues of a topology, from some exchanges that messages are published to.

    `by_name` are the queues that messages are sent to by the default exchange.
    """

    def __init__(
        self,
        graph: Graph,
        published: AbstractSet[str],
        by_name: AbstractSet[str],
    ) -> None:
        self._graph = graph
        self._published = published
        self._by_name = by_name
        self._falling = _falling(graph.topology)
        self._dying: defaultdict[str, list[Queue]] = defaultdict(list)
        self._dying_by_name: defaultdict[str | None, list[Queue]] = defaultdict(list)
        for queue in graph.topology.queues.values():
            if queue.dead_letter_exchange:
                self._dying[queue.dead_letter_exchange].append(queue)
            elif queue.dead_letter_exchange is not None:
                self._dying_by_name[queue.dead_letter_routing_key].append(queue)

    def ways(self, queue: Queue) -> Iterator[Way | None]:
        """Every way to a queue, shorter ones first; None, at the end, if some are not followed."""
        found: set[Way] = set()
        for way in self._walk(queue, None):
            if way is not None and len(found) == _MOST_WAYS:
                yield None
                return
            if way not in found:
                yield way
            if way is not None:
                found.add(way)

    def apart(self, way: Way) -> tuple[Pattern, ...]:
        """The patterns that the keys of a way do not match."""
        return tuple(
            pattern
            for name in way.passed_over
            for binding in self._graph.bindings_from(name)
            if binding.source.routes_as != "headers"  # it may match or not
            and (pattern := pattern_of(binding, None)) is not None
        )

    def _walk(self, queue: Queue, reached: AbstractSet[str] | None) -> Iterator[Way | None]:
        """The ways to a queue; a key that a queue gives its dead letters takes one that has some.

        `reached` are the queues that have messages, all that do unless they are given.
        """
        waiting: deque[_Step] = deque([(queue, Way(), frozenset())])
        steps = 0
        while waiting:
            at, way, behind = waiting.popleft()
            steps += 1
            if steps > _MOST_STEPS:
                yield None
                return
            behind |= {(type(at), at.name)}
            if isinstance(at, Exchange):
                on, published = way, at.name in self._published
                further = list(self._sources_of(at, way))
                further += [(it, way.past(it.name)) for it in self._falling.get(at.name, ())]
                earlier = self._dying[at.name]
            else:
                on, published = way.by(exactly(at.name)), at.name in self._by_name
                further = list(self._sources_of(at, way))
                earlier = [*self._dying_by_name[at.name], *self._dying_by_name[None]]
            if published:
                yield on
            for dying in earlier:
                own = dying.dead_letter_routing_key
                if own is None:
                    further.append((dying, on))
                elif self._takes(on, own) and dying.name in (
                    self.reached if reached is None else reached
                ):
                    yield Way((exactly(own),))
            # What comes round to where it was has more to match, and no key that is new.
            waiting += [
                (it, before, behind) for it, before in further if (type(it), it.name) not in behind
            ]

    @cached_property
    def reached(self) -> AbstractSet[str]:
        """The queues that some message gets to, those of which it is undecided among them."""
        reached: set[str] = set()
        waiting = list(self._graph.topology.queues.values())
        found = True
        while found:
            found = False
            for queue in waiting:
                if any(map(self._has_keys, self._walk(queue, reached))):
                    reached.add(queue.name)
                    found = True
            waiting = [it for it in waiting if it.name not in reached]
        return reached

    def _has_keys(self, way: Way | None) -> bool:
        if way is None or (len(way.within) <= 1 and not way.passed_over):
            return True
        nothing: PatternTable[None] = PatternTable()
        try:
            return next(key_classes(nothing, way.within, self.apart(way)), None) is not None
        except Undecided:
            return True

    def _sources_of(
        self, end: Exchange | Queue, way: Way
    ) -> Iterator[tuple[Exchange | Queue, Way]]:
        for binding in self._graph.bindings_to(end):
            pattern = pattern_of(binding, None)
            if pattern is not None:
                yield binding.source, way.by(pattern)

    def _takes(self, way: Way, key: str) -> bool:
        """Whether a message with this key can go a way."""
        return all(matches(it, key) for it in way.within) and not any(
            matches(it, key) for it in self.apart(way)
        )


def _falling(topology: Topology) -> Mapping[str, Sequence[Exchange]]:
    """The exchanges whose alternate each exchange is."""
    found: defaultdict[str, list[Exchange]] = defaultdict(list)
    for exchange in topology.every_exchange():
        if exchange.alternate_exchange:
            found[exchange.alternate_exchange].append(exchange)
    return found
