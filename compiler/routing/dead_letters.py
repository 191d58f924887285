"""Where dead letters go, and whether they come back.

The rule of RabbitMQ's `rabbit_dead_letter`: a message that reaches a queue for the second time is
dropped if nobody rejected it on its way round; if somebody did, it goes on, for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import Any

from routewright.compiler.keys.header_sets import Undecidable, header_classes
from routewright.compiler.keys.patterns import Undecided, exactly
from routewright.compiler.model.topology import Queue
from routewright.compiler.routing.delivery import Delivery, Hop, Outcome, Witness
from routewright.compiler.routing.entry_points import publishing
from routewright.compiler.routing.keys_into import KeysInto, Way
from routewright.compiler.routing.routing import Routing

_GIVES_UP = frozenset({"x-message-ttl", "x-max-length", "x-max-length-bytes", "x-delivery-limit"})
_MOST_KEYS = 1000  # of one way to a queue, that are followed
_MOST_SHOWN = 8  # queues of a round

_UNDECIDED = Delivery((), Outcome.UNDECIDED)


@dataclass(frozen=True, slots=True)
class Loop:
    """Queues that a message goes through and comes back to the first, and one that does.

    `rejectable` says whether anybody consumes on the way, who may reject the message; `by_itself`
    whether each of the queues may give a message up without that: it expires, there are too many,
    or it was delivered too often.
    """

    queues: tuple[str, ...]
    message: Witness
    rejectable: bool
    by_itself: bool


class DeadLetters:
    """Answers where the dead letters of a topology go."""

    def __init__(self, routing: Routing) -> None:
        self._topology = routing.topology
        self._routing = routing
        published, by_name = publishing(routing.topology, routing)
        self.keys_into = KeysInto(routing.graph, published, by_name)
        self._known: dict[str, Sequence[tuple[str, Delivery]]] = {}

    def routes(self, queue: Queue) -> Sequence[tuple[str, Delivery]]:
        """Where the dead letters of a queue go: for each class of their keys, one and its delivery.

        What is not followed to its end comes as undecided: too many keys, and what depends on the
        headers of a message, of which RabbitMQ gives a dead letter some more.
        """
        known = self._known.get(queue.name)
        if known is None:
            known = self._known[queue.name] = tuple(self._follow(queue))
        return known

    def _follow(self, queue: Queue) -> Iterator[tuple[str, Delivery]]:
        exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
        if exchange is None:
            return
        ways = self.keys_into.ways(queue) if own is None else [Way((exactly(own),))]
        for way in ways:
            if way is None:
                yield "", _UNDECIDED
                return
            try:
                apart = self.keys_into.apart(way)
                routes = self._routing.whatever_headers(exchange, way.within, apart)
                yield from islice(routes, _MOST_KEYS)
                if next(routes, None) is not None:
                    yield "", _UNDECIDED
            except (Undecided, Undecidable):
                yield "", _UNDECIDED

    @cached_property
    def loops(self) -> Sequence[Loop]:
        """Every round that dead letters go, once, with the first message found to go it."""
        return tuple(self._loops())

    def _loops(self) -> Iterator[Loop]:
        consumed = {it.name for group in self._topology.groups.values() for it in group.queues}
        told: set[frozenset[str]] = set()
        on_a_round: set[str] = set()
        for queue in self._topology.queues.values():
            if queue.name in on_a_round:
                continue
            for message in self._dead_messages(queue):
                way = self._round(queue, message)
                if way is not None and frozenset(way) not in told:
                    told.add(frozenset(way))
                    on_a_round.update(way)
                    # Without worker groups nobody knows who consumes, so somebody may.
                    rejectable = not self._topology.groups or not consumed.isdisjoint(way)
                    ends = [self._topology.queues[name].effective.keys() for name in way]
                    by_itself = not any(map(_GIVES_UP.isdisjoint, ends))
                    yield Loop(way, message, rejectable, by_itself)

    def _dead_messages(self, queue: Queue) -> Iterator[Witness]:
        """A dead letter of a queue for each class of its keys, and for each set of headers.

        Headers are tried where the dead letter meets an exchange at once that looks at them.
        """
        for key, delivery in self.routes(queue):
            if delivery is _UNDECIDED:
                continue
            yield Witness(key, delivery)
            if any(_by_headers(hop) for hop in delivery.hops):
                for headers in self._headers:
                    yield Witness(key, delivery, headers)

    @cached_property
    def _headers(self) -> Sequence[Mapping[str, Any]]:
        """The sets of headers that bindings tell apart, fewer first.

        What a dead letter has in its `x-` headers is the broker's business.
        """
        bindings = self._topology.bindings
        tables = [it.arguments for it in bindings if it.source.routes_as == "headers"]
        try:
            found = [it for it, _ in header_classes(tables, {})]
        except Undecidable:
            return ()
        return tuple(it for it in found if it and not any(map(_is_the_brokers, it)))

    def _round(self, first: Queue, message: Witness) -> tuple[str, ...] | None:
        """The shortest way from a queue, by dead letters alone, back to it."""
        waiting: deque[tuple[tuple[str, ...], str]] = deque([((first.name,), message.key)])
        seen: set[tuple[str, str]] = set()
        while waiting:
            way, key = waiting.popleft()
            queue = self._topology.queues[way[-1]]
            exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
            if exchange is None:
                continue
            key = key if own is None else own
            deliveries = self._routing.deliveries(exchange, key, message.headers)
            for name in dict.fromkeys(chain.from_iterable(it.queues for it in deliveries)):
                if name == first.name:
                    return way
                if (name, key) not in seen:
                    seen.add((name, key))
                    waiting.append(((*way, name), key))
        return None


def round_of(loop: Loop) -> str:
    """The queues of a round, for a message."""
    shown = (*loop.queues[:_MOST_SHOWN], *(("...",) if len(loop.queues) > _MOST_SHOWN else ()))
    return " -> ".join(f"`{name}`" for name in (*shown, loop.queues[0]))


def _by_headers(hop: Hop) -> bool:
    binding = hop.binding
    return binding is not None and binding.source.routes_as == "headers"


def _is_the_brokers(header: str) -> bool:
    return header.startswith("x-")
