"""Where the dead letters of a queue go in one topology and not in the other.

Compared are queues that say something else of their dead letters than before, key by key of those
that can come to them. Where both sides send them to the same exchange with the same key, it is the
exchange that is compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from routewright.compiler.keys.header_sets import Undecidable, all_headers, asks_how_it_died
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, exactly
from routewright.compiler.model.topology import Binding, Queue
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.delivery import Outcome, Reach, names_in
from routewright.compiler.routing.routing import Routing


class ChangedReach:
    """The queues that messages of a class could reach before, and those that they can reach now."""

    __slots__ = ()

    was: Reach
    now: Reach

    @property
    def before(self) -> tuple[str, ...]:
        """The queues that a message could reach."""
        return names_in(self.was)

    @property
    def after(self) -> tuple[str, ...]:
        """The queues that a message can reach."""
        return names_in(self.now)


@dataclass(frozen=True, slots=True)
class DeadLetterDifference(ChangedReach):
    """Dead letters of a queue that go elsewhere: the smallest key they had, and what they reach."""

    queue: str
    witness: str
    was: Reach
    now: Reach
    headers: Mapping[str, Any] = field(default_factory=dict)


class _Side:
    """The dead letters of one queue, in one of the two topologies."""

    def __init__(self, dead_letters: DeadLetters, routing: Routing, queue: Queue) -> None:
        self.dead_letters = dead_letters
        self.routing = routing
        self.queue = queue
        self._topology = routing.topology
        self._exchange = queue.dead_letter_exchange
        self._own = queue.dead_letter_routing_key

    def is_like(self, other: _Side) -> bool:
        """Whether both send them to the same exchange, which is compared for itself, alike."""
        if (self._exchange, self._own) != (other._exchange, other._own):
            return False
        return self._exchange is None or self._is_there() == other._is_there()

    def _is_there(self) -> bool:
        return self._topology.exchange(self._exchange or "") is not None

    def patterns(self, headers: Mapping[str, Any]) -> Iterator[Pattern]:
        """What tells apart the keys that are kept."""
        if self._exchange is None or self._own is not None:
            return
        if not self._exchange:
            yield from map(exactly, self._topology.queues)
        for pattern, binding in self.routing.graph.cone(self._exchange, headers):
            if binding.source.routes_as == "headers" and asks_how_it_died(binding.arguments):
                raise Undecidable("headers that the broker gives dead letters")
            yield pattern

    def reach(self, key: str, headers: Mapping[str, Any]) -> Reach:
        if self._exchange is None:
            return ((),)
        key = key if self._own is None else self._own
        delivery = self.routing.route(self._exchange, key, headers)
        if delivery.outcome is Outcome.UNDECIDED:
            raise Undecidable(f"where `{key}` goes from `{self._exchange}`")
        return delivery.reach


def compare_dead_letters(
    before: Routing, after: Routing
) -> tuple[tuple[DeadLetterDifference, ...], tuple[str, ...]]:
    """Every class of dead letters that go elsewhere, and the queues of which nothing is proved."""
    old, new = before.topology, after.topology
    dead_letters = DeadLetters(before), DeadLetters(after)
    found: dict[tuple[str, Reach, Reach], DeadLetterDifference] = {}
    undecided: list[str] = []
    for name in sorted(old.queues.keys() & new.queues.keys()):
        was = _Side(dead_letters[0], before, old.queues[name])
        now = _Side(dead_letters[1], after, new.queues[name])
        if was.is_like(now):
            continue
        try:
            for difference in _differences(was, now, (*old.bindings, *new.bindings)):
                found.setdefault((name, difference.was, difference.now), difference)
        except (Undecided, Undecidable):
            undecided.append(name)
    return tuple(found.values()), tuple(undecided)


def _differences(
    was: _Side, now: _Side, bindings: Iterable[Binding]
) -> Iterator[DeadLetterDifference]:
    tables = [it.arguments for it in bindings if it.source.routes_as == "headers"]
    for headers in all_headers(tables):
        table: PatternTable[None] = PatternTable()
        for pattern in chain(was.patterns(headers), now.patterns(headers)):
            table.add(pattern, None)
        for within, apart in chain(_keys_into(was), _keys_into(now)):
            for it in key_classes(table, within, apart):
                reached, reaches = was.reach(it.witness, headers), now.reach(it.witness, headers)
                if reached != reaches:
                    name = was.queue.name
                    yield DeadLetterDifference(name, it.witness, reached, reaches, headers)


def _keys_into(side: _Side) -> Iterator[tuple[Sequence[Pattern], Sequence[Pattern]]]:
    keys = side.dead_letters.keys_into
    for way in keys.ways(side.queue):
        if way is None:
            raise Undecided("more ways to a queue than are followed")
        yield way.within, keys.apart(way)
