"""Where dead letters go, and whether they come back.

The rule of RabbitMQ's `rabbit_dead_letter`: a message that reaches a queue for the second time is
dropped if nobody rejected it on its way round; if somebody did, it goes on, for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from routewright.compiler.patterns import Pattern, Undecided, exactly
from routewright.compiler.routing import Delivery, Routing, pattern_of
from routewright.compiler.topology import Exchange, Queue, Topology

_MOST_KEYS = 1000  # of one queue, that are followed

Keys: TypeAlias = tuple[Pattern, ...]
"""The keys that match all of some patterns."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Queues that a message goes through and comes back to the first, and a key that does.

    `rejectable` says whether anybody consumes on the way, who may reject the message.
    """

    queues: tuple[str, ...]
    key: str
    rejectable: bool


class DeadLetters:
    """The dead letters of a topology."""

    def __init__(self, topology: Topology, routing: Routing) -> None:
        self._topology = topology
        self._routing = routing
        self._published = _published(topology)
        self._before: defaultdict[str, list[Queue]] = defaultdict(list)
        for queue in topology.queues.values():
            if queue.dead_letter_exchange:
                for exchange in _leads_to(topology, {queue.dead_letter_exchange}):
                    self._before[exchange].append(queue)

    def routes(self, queue: Queue) -> Iterator[tuple[str, Delivery]]:
        """Where the dead letters of a queue go: for each class of their keys, one and its fate."""
        exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
        if exchange is None:
            return
        if own is not None:
            yield own, self._routing.route(exchange, own)
            return
        for keys in self._keys_into(queue, frozenset()):
            try:
                yield from islice(self._routing.classes(exchange, keys), _MOST_KEYS)
            except Undecided:
                continue

    def loops(self) -> Iterator[Loop]:
        """Every round that dead letters go, once, with the first key found to go it."""
        consumed = {it.name for group in self._topology.groups.values() for it in group.queues}
        told: set[frozenset[str]] = set()
        for queue in self._topology.queues.values():
            for key, _ in self.routes(queue):
                for way in self._rounds(queue, key, ()):
                    if frozenset(way) not in told:
                        told.add(frozenset(way))
                        # Without worker groups nobody knows who consumes, so somebody may.
                        rejectable = not self._topology.groups or not consumed.isdisjoint(way)
                        yield Loop(way, key, rejectable)

    def _keys_into(self, queue: Queue, after: frozenset[str]) -> Iterator[Keys]:
        """The keys that messages have which reach a queue, `after` others that they came through.

        They come from outside, or are dead letters of another queue, with that one's keys.
        """
        for binding in self._routing.bindings_to(queue):
            pattern = pattern_of(binding, {})
            if pattern is None:
                continue
            if binding.source.name in self._published:
                yield (pattern,)
            for earlier in self._before.get(binding.source.name, ()):
                if earlier.name not in after:
                    for keys in self._dead_keys(earlier, after | {queue.name}):
                        yield tuple(dict.fromkeys((*keys, pattern)))

    def _dead_keys(self, queue: Queue, after: frozenset[str]) -> Iterator[Keys]:
        own = queue.dead_letter_routing_key
        if own is not None:
            yield (exactly(own),)
        else:
            yield from self._keys_into(queue, after)

    def _rounds(self, queue: Queue, key: str, before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The ways from a queue, by dead letters alone, back to the first one."""
        exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
        if exchange is None:
            return
        key = key if own is None else own
        way = (*before, queue.name)
        for name in self._routing.route(exchange, key).queues:
            if name == way[0]:
                yield way
            elif name not in way:
                yield from self._rounds(self._topology.queues[name], key, way)


def round_of(loop: Loop) -> str:
    """The queues of a round, for a message."""
    return " -> ".join(f"`{name}`" for name in (*loop.queues, loop.queues[0]))


def _published(topology: Topology) -> set[str]:
    """The exchanges that get messages from outside, or from one that does.

    Those that tasks are sent to; in a file without tasks, those that no dead letter goes to. What
    no message would get to then, as a round of dead letters without a beginning, is taken to begin
    at the exchange that stands first in the file.
    """
    dead = {queue.dead_letter_exchange or "" for queue in topology.queues.values()}
    tasks = {task.exchange.name for task in topology.tasks.values()}
    published = _leads_to(topology, tasks or topology.exchanges.keys() - dead)
    met = _with_dead_letters(topology, published)
    for name in topology.exchanges:
        if name not in met:
            published |= _leads_to(topology, {name})
            met = _with_dead_letters(topology, published)
    return published


def _with_dead_letters(topology: Topology, exchanges: set[str]) -> set[str]:
    """Some exchanges, and all that the dead letters of their queues come to in the end."""
    met: set[str] = set()
    while met != exchanges:
        met = exchanges
        ends = [it.destination for it in topology.bindings if it.source.name in met]
        dead = {it.dead_letter_exchange for it in ends if isinstance(it, Queue)}
        exchanges = met | _leads_to(topology, {name for name in dead if name})
    return met


def _leads_to(topology: Topology, first: set[str]) -> set[str]:
    """Some exchanges, and those that they lead to by bindings or as alternate exchanges."""
    following: defaultdict[str, set[str]] = defaultdict(set)
    for binding in topology.bindings:
        if isinstance(binding.destination, Exchange):
            following[binding.source.name].add(binding.destination.name)
    for exchange in topology.exchanges.values():
        following[exchange.name].add(exchange.alternate_exchange or "")
    reached, waiting = set(first), list(first)
    while waiting:
        for name in following.get(waiting.pop(), set()) - reached - {""}:
            reached.add(name)
            waiting.append(name)
    return reached
