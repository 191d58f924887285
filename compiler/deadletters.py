"""Where dead letters go, and whether they come back.

The rule of RabbitMQ's `rabbit_dead_letter`: a message that reaches a queue for the second time is
dropped if nobody rejected it on its way round; if somebody did, it goes on, for ever.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Protocol, TypeAlias

from routewright.compiler.delivery import Delivery, Outcome
from routewright.compiler.matching import pattern_of
from routewright.compiler.patterns import Pattern, Undecided, exactly
from routewright.compiler.topology import Binding, Exchange, Queue, Topology

_GIVES_UP = frozenset({"x-message-ttl", "x-max-length", "x-max-length-bytes", "x-delivery-limit"})
_MOST_KEYS = 1000  # of one queue, that are followed
_MOST_WAYS = 200  # that lead to one queue, and are followed
_MOST_QUEUES = 8  # that the keys of a dead letter are followed back through

_UNDECIDED = Delivery((), Outcome.UNDECIDED)

Keys: TypeAlias = tuple[Pattern, ...]
"""The keys that match all of some patterns."""


class Routes(Protocol):
    """What has to be known of the ways of messages to follow dead ones."""

    def bindings_to(self, queue: Queue) -> Sequence[Binding]:
        """The bindings that lead to a queue."""
        ...

    def fates(self, exchange: str, key: str) -> Sequence[Delivery]:
        """All that may become of a message with this key and without headers."""
        ...

    def classes(self, exchange: str, within: Keys) -> Iterator[tuple[str, Delivery]]:
        """Where every key goes that matches all of some patterns."""
        ...


@dataclass(frozen=True, slots=True)
class Loop:
    """Queues that a message goes through and comes back to the first, and a key that does.

    `rejectable` says whether anybody consumes on the way, who may reject the message; `by_itself`
    whether each of the queues may give a message up without that: it expires, there are too many,
    or it was delivered too often.
    """

    queues: tuple[str, ...]
    key: str
    rejectable: bool
    by_itself: bool


class DeadLetters:
    """The dead letters of a topology."""

    def __init__(self, topology: Topology, routing: Routes) -> None:
        self._topology = topology
        self._routing = routing
        plain, dead = _following(topology)
        self._plain = plain
        self._published = _published(topology, plain, dead)
        self._known: dict[str, Sequence[tuple[str, Delivery]]] = {}
        self._before: defaultdict[str, list[Queue]] = defaultdict(list)
        for queue in topology.queues.values():
            if queue.dead_letter_exchange:
                for exchange in _closure({queue.dead_letter_exchange}, plain):
                    self._before[exchange].append(queue)

    def routes(self, queue: Queue) -> Sequence[tuple[str, Delivery]]:
        """Where the dead letters of a queue go: for each class of their keys, one and its fate.

        What is not followed to its end comes as undecided: too many keys, and exchanges that look
        at headers, of which RabbitMQ gives a dead letter some of its own.
        """
        known = self._known.get(queue.name)
        if known is None:
            known = self._known[queue.name] = tuple(self._follow(queue))
        return known

    def _follow(self, queue: Queue) -> Iterator[tuple[str, Delivery]]:
        exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
        if exchange is None:
            return
        if own is not None:
            for fate in self._routing.fates(exchange, own):
                yield own, fate
            return
        if self._looks_at_headers(exchange):
            yield "", _UNDECIDED
            return
        ways = list(islice(self._keys_into(queue, frozenset()), _MOST_WAYS + 1))
        if len(ways) > _MOST_WAYS:
            yield "", _UNDECIDED
        for keys in ways[:_MOST_WAYS]:
            try:
                for number, found in enumerate(self._routing.classes(exchange, keys)):
                    if number == _MOST_KEYS:
                        yield "", _UNDECIDED
                        break
                    yield found
            except Undecided:
                yield "", _UNDECIDED

    def _looks_at_headers(self, exchange: str) -> bool:
        behind = map(self._topology.exchange, _closure({exchange}, self._plain))
        return any(it is not None and it.routes_as == "headers" for it in behind)

    @cached_property
    def loops(self) -> Sequence[Loop]:
        """Every round that dead letters go, once, with the first key found to go it."""
        return tuple(self._loops())

    def _loops(self) -> Iterator[Loop]:
        consumed = {it.name for group in self._topology.groups.values() for it in group.queues}
        told: set[frozenset[str]] = set()
        on_a_round: set[str] = set()
        for queue in self._topology.queues.values():
            if queue.name in on_a_round:
                continue
            for key, delivery in self.routes(queue):
                if delivery.outcome is Outcome.UNDECIDED:
                    continue
                way = self._round(queue, key)
                if way is not None and frozenset(way) not in told:
                    told.add(frozenset(way))
                    on_a_round.update(way)
                    # Without worker groups nobody knows who consumes, so somebody may.
                    rejectable = not self._topology.groups or not consumed.isdisjoint(way)
                    ends = [self._topology.queues[name].effective.keys() for name in way]
                    by_itself = not any(map(_GIVES_UP.isdisjoint, ends))
                    yield Loop(way, key, rejectable, by_itself)

    def _keys_into(self, queue: Queue, after: frozenset[str]) -> Iterator[Keys]:
        """The keys that messages have which reach a queue, `after` others that they came through.

        They come from outside, or are dead letters of another queue, with that one's keys.
        """
        for binding in self._routing.bindings_to(queue):
            pattern = pattern_of(binding, None)
            if pattern is None:
                continue
            if binding.source.name in self._published:
                yield (pattern,)
            for earlier in self._before.get(binding.source.name, ()):
                if earlier.name not in after and len(after) < _MOST_QUEUES:
                    for keys in self._dead_keys(earlier, after | {queue.name}):
                        yield tuple(dict.fromkeys((*keys, pattern)))

    def _dead_keys(self, queue: Queue, after: frozenset[str]) -> Iterator[Keys]:
        own = queue.dead_letter_routing_key
        if own is not None:
            yield (exactly(own),)
        else:
            yield from self._keys_into(queue, after)

    def _round(self, first: Queue, key: str) -> tuple[str, ...] | None:
        """The shortest way from a queue, by dead letters alone, back to it."""
        waiting: deque[tuple[tuple[str, ...], str]] = deque([((first.name,), key)])
        seen: set[tuple[str, str]] = set()
        while waiting:
            way, key = waiting.popleft()
            queue = self._topology.queues[way[-1]]
            exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
            if exchange is None:
                continue
            key = key if own is None else own
            fates = self._routing.fates(exchange, key)
            for name in dict.fromkeys(chain.from_iterable(fate.queues for fate in fates)):
                if name == first.name:
                    return way
                if (name, key) not in seen:
                    seen.add((name, key))
                    waiting.append(((*way, name), key))
        return None


def round_of(loop: Loop) -> str:
    """The queues of a round, for a message."""
    shown = (*loop.queues[:_MOST_QUEUES], *(("...",) if len(loop.queues) > _MOST_QUEUES else ()))
    return " -> ".join(f"`{name}`" for name in (*shown, loop.queues[0]))


Edges: TypeAlias = dict[str, set[str]]
"""From the name of an exchange to those of others."""


def _following(topology: Topology) -> tuple[Edges, Edges]:
    """Where messages go on from an exchange: to other exchanges, and as dead letters besides."""
    plain: Edges = defaultdict(set)
    dead: Edges = defaultdict(set)
    for binding in topology.bindings:
        end = binding.destination
        if isinstance(end, Exchange):
            plain[binding.source.name].add(end.name)
        elif end.dead_letter_exchange:
            dead[binding.source.name].add(end.dead_letter_exchange)
    for exchange in topology.every_exchange():
        if exchange.alternate_exchange:
            plain[exchange.name].add(exchange.alternate_exchange)
    for name, further in plain.items():
        dead[name] |= further
    return plain, dead


def _published(topology: Topology, plain: Edges, dead: Edges) -> set[str]:
    """The exchanges that get messages from outside, or from one that does.

    Those that tasks are sent to; in a file without tasks, those that no dead letter goes to. What
    no message would get to then, as a round of dead letters without a beginning, is taken to begin
    at the exchange that stands first in the file.
    """
    for_dead = {queue.dead_letter_exchange or "" for queue in topology.queues.values()}
    tasks = {task.exchange.name for task in topology.tasks.values()}
    first = tasks or topology.exchanges.keys() - for_dead
    published, met = _closure(first, plain), _closure(first, dead)
    for name in topology.exchanges:
        if name not in met:
            published |= _closure({name}, plain)
            met |= _closure({name}, dead)
    return published


def _closure(first: Iterable[str], edges: Edges) -> set[str]:
    """Some exchanges, and all that they lead to."""
    reached = set(first)
    waiting = list(reached)
    while waiting:
        for name in edges.get(waiting.pop(), set()) - reached:
            reached.add(name)
            waiting.append(name)
    return reached
