"""Where a key goes: from an exchange to the set of queues, over the whole graph.

The rules are those of RabbitMQ's `rabbit_exchange:route`: every exchange is visited once; a queue
gets a message once; an alternate exchange is used only when the exchange's own bindings, to queues
or to exchanges, matched nothing; the default exchange knows every queue by its name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from routewright.compiler.keyspace import EVERY_KEY, key_classes
from routewright.compiler.patterns import Pattern, Undecided, exactly, topic
from routewright.compiler.table import PatternTable
from routewright.compiler.templates import keys_of, placeholders
from routewright.compiler.topology import Binding, Exchange, Queue, Task, Topology
from routewright.runtime.headers import headers_match

KNOWN_TYPES = ("direct", "topic", "fanout", "headers")

Match = Callable[[str, Mapping[str, Any]], Iterable[Binding]]


class Outcome(StrEnum):
    """The fates of a message that is published once."""

    DELIVERED = "delivered"
    UNROUTABLE = "unroutable"
    UNDECIDED = "undecided"  # met an exchange whose type nothing is known of
    NO_EXCHANGE = "no-exchange"  # the broker closes the channel with 404


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a message: out of an exchange by a binding, or to the alternate exchange."""

    exchange: str
    destination: Exchange | Queue
    binding: Binding | None = None  # None: by the alternate exchange, or the default one


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a message goes: the queues' names, sorted; its fate; and every step on the way.

    When the outcome is `undecided`, `queues` are those that get the message in any case.
    """

    queues: tuple[str, ...]
    outcome: Outcome
    hops: tuple[Hop, ...] = ()


class Routing:
    """The routing of one topology; tables are made when an exchange is first asked for."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._outgoing: defaultdict[str, list[Binding]] = defaultdict(list)
        self._incoming: defaultdict[str, list[Binding]] = defaultdict(list)
        for binding in topology.bindings:
            self._outgoing[binding.source.name].append(binding)
            if isinstance(binding.destination, Queue):
                self._incoming[binding.destination.name].append(binding)
        self._tables: dict[str, Match | None] = {}
        self._cones: dict[str, PatternTable[Binding]] = {}
        self._of_tasks: dict[str, Sequence[tuple[str, Delivery]]] = {}
        self._of_exchanges: dict[str, dict[tuple[str, ...], tuple[str, Delivery]]] = {}

    def bindings_to(self, queue: Queue) -> Sequence[Binding]:
        """The bindings that lead to a queue."""
        return self._incoming.get(queue.name, ())

    def standing_in(self, exchange: str, other: Routing) -> str:
        """The exchange to ask in place of one that only the other topology has.

        If that one stands in front of an exchange of this topology, as its alternate, it is this.
        """
        theirs = other._topology.exchange(exchange)
        if theirs is None or self._topology.exchange(exchange) is not None:
            return exchange
        behind = theirs.alternate_exchange
        return behind if behind and self._topology.exchange(behind) is not None else exchange

    def bindings_from(self, exchange: str) -> Sequence[Binding]:
        """The bindings that lead away from an exchange."""
        return self._outgoing.get(exchange, ())

    def ways(self, task: Task) -> Sequence[tuple[str, Delivery]]:
        """Where the messages of a task go: its key and its fate.

        Of a key with placeholders, the smallest key and the fate of each class of keys that they
        may make of it; where there are too many, the key itself and that it is undecided.
        """
        ways = self._of_tasks.get(task.name)
        if ways is None:
            try:
                ways = tuple(self._ways(task))
            except Undecided:
                ways = ((task.routing_key, Delivery((), Outcome.UNDECIDED)),)
            self._of_tasks[task.name] = ways
        return ways

    def _ways(self, task: Task) -> Iterator[tuple[str, Delivery]]:
        exchange, key = task.exchange.name, task.routing_key
        headers = {"lang": "py", "task": task.name, **task.headers}  # as in Celery's protocol
        if task.is_pattern and self._looks_at_names():
            raise Undecided("a headers exchange looks at the name of the task")
        if not placeholders(key):
            yield key, self.route(exchange, key, headers)
            return
        by_headers = any(it.type == "headers" for it in self._topology.exchanges.values())
        for keys in keys_of(task):
            yield from self.classes(
                exchange, [keys.within], headers if by_headers else None, apart=keys.apart
            )

    def _looks_at_names(self) -> bool:
        """Whether a headers binding asks for the header that has the task's name."""
        bindings = self._topology.bindings
        return any("task" in it.arguments for it in bindings if it.source.type == "headers")

    def reach(self, task: Task) -> tuple[str, ...]:
        """The sorted names of the queues that the messages of a task reach, with whatever key."""
        return tuple(sorted({name for _, it in self.ways(task) for name in it.queues}))

    def is_tap(self, queue: str) -> bool:
        """Whether a queue only gets copies."""
        return self._topology.queues[queue].tap

    def route(self, exchange: str, key: str, headers: Mapping[str, Any] | None = None) -> Delivery:
        """Where a message with this routing key and these headers goes."""
        first = self._topology.exchange(exchange)
        if first is None:
            return Delivery((), Outcome.NO_EXCHANGE)
        if not exchange:
            return self._by_default_exchange(key)
        return self._walk(first, lambda source: self._matching(source, key, headers or {}))

    def classes(
        self,
        exchange: str,
        within: Sequence[Pattern] = (),
        headers: Mapping[str, Any] | None = None,
        apart: Sequence[Pattern] = (),
    ) -> Iterator[tuple[str, Delivery]]:
        """Where every key goes that matches all of some patterns, and none of those in `apart`.

        For each class of keys that are routed alike, the smallest of them and its fate.

        Raises:
            Undecided: there are more classes than are looked at.
        """
        if not exchange:
            names: PatternTable[None] = PatternTable()
            for name in self._topology.queues:
                names.add(exactly(name), None)
            for by_name in key_classes(names, within, apart):
                yield by_name.witness, self._by_default_exchange(by_name.witness)
            return
        table = None if headers else self._cones.get(exchange)
        if table is None:
            table = PatternTable()
            for pattern, binding in self.cone(exchange, headers or {}):
                table.add(pattern, binding)
            if not headers:
                self._cones[exchange] = table
        for found in key_classes(table, within, apart):
            yield found.witness, self.deliver(exchange, found.values)

    def destinations(self, exchange: str) -> Mapping[tuple[str, ...], tuple[str, Delivery]]:
        """Every set of queues that some key reaches, with the smallest such key and its fate.

        Messages are taken to have no headers.

        Raises:
            Undecided: there are more classes of keys than are looked at.
        """
        known = self._of_exchanges.get(exchange)
        if known is None:
            known = {}
            for witness, delivery in self.classes(exchange):
                known.setdefault(delivery.queues, (witness, delivery))
            self._of_exchanges[exchange] = known
        return known

    def cone(self, exchange: str, headers: Mapping[str, Any]) -> Iterator[tuple[Pattern, Binding]]:
        """The bindings of every exchange that a message may come to, and the keys they match."""
        first = self._topology.exchange(exchange)
        waiting, seen = [first] if first else [], {exchange}
        while waiting:
            source = waiting.pop()
            following = [self._topology.exchange(source.alternate_exchange or "")]
            for binding in self._outgoing[source.name]:
                pattern = pattern_of(binding, headers)
                if pattern is not None:
                    yield pattern, binding
                    if isinstance(binding.destination, Exchange):
                        following.append(binding.destination)
            for each in following:
                if each is not None and each.name not in seen:
                    seen.add(each.name)
                    waiting.append(each)

    def deliver(self, exchange: str, bindings: Iterable[Binding]) -> Delivery:
        """Where a message goes that matches just these bindings, whichever exchanges it meets."""
        first = self._topology.exchange(exchange)
        if first is None:
            return Delivery((), Outcome.NO_EXCHANGE)
        matched: defaultdict[str, list[Binding]] = defaultdict(list)
        for binding in bindings:
            matched[binding.source.name].append(binding)
        return self._walk(first, partial(_of_source, matched))

    def _walk(
        self, first: Exchange, matching: Callable[[Exchange], Iterable[Binding] | None]
    ) -> Delivery:
        """Follow a message through the graph, given which bindings of an exchange it matches."""
        queues: set[str] = set()
        hops: list[Hop] = []
        waiting, seen, undecided = [first], {first.name}, False
        while waiting:
            source = waiting.pop()
            bindings = matching(source)
            if bindings is None:
                undecided = True
                continue
            for hop in self._leaving(source, bindings):
                hops.append(hop)
                destination = hop.destination
                if isinstance(destination, Queue):
                    queues.add(destination.name)
                elif destination.name not in seen:
                    seen.add(destination.name)
                    waiting.append(destination)
        if undecided:
            outcome = Outcome.UNDECIDED
        else:
            outcome = Outcome.DELIVERED if queues else Outcome.UNROUTABLE
        return Delivery(tuple(sorted(queues)), outcome, tuple(hops))

    def _by_default_exchange(self, key: str) -> Delivery:
        queue = self._topology.queues.get(key)
        if queue is None:
            return Delivery((), Outcome.UNROUTABLE)
        return Delivery((key,), Outcome.DELIVERED, (Hop("", queue),))

    def _matching(
        self, source: Exchange, key: str, headers: Mapping[str, Any]
    ) -> Iterable[Binding] | None:
        """The bindings of one exchange that a message matches; None when its type is unknown."""
        if source.name not in self._tables:
            self._tables[source.name] = _table(source.type, self._outgoing[source.name])
        table = self._tables[source.name]
        return None if table is None else table(key, headers)

    def _leaving(self, source: Exchange, bindings: Iterable[Binding]) -> list[Hop]:
        """The steps out of one exchange: by its bindings, or else to its alternate exchange."""
        ordered = sorted(bindings, key=lambda it: (it.destination.name, it.key))
        hops = [Hop(source.name, it.destination, it) for it in ordered]
        if not hops and source.alternate_exchange is not None:
            alternate = self._topology.exchange(source.alternate_exchange)
            if alternate is not None:
                hops.append(Hop(source.name, alternate))
        return hops


def _of_source(matched: Mapping[str, list[Binding]], source: Exchange) -> Iterable[Binding] | None:
    return matched.get(source.name, ()) if source.type in KNOWN_TYPES else None


def pattern_of(binding: Binding, headers: Mapping[str, Any]) -> Pattern | None:
    """The keys that a binding matches, of messages with these headers; None if there are none."""
    match binding.source.type:
        case "topic":
            return topic(binding.key)
        case "direct":
            return exactly(binding.key)
        case "headers" if not headers_match(binding.arguments, headers):
            return None
        case _:
            return EVERY_KEY


def _table(exchange_type: str, bindings: list[Binding]) -> Match | None:
    """How an exchange of a type picks among its bindings; None for a type of some plugin."""
    match exchange_type:
        case "direct":
            by_key: defaultdict[str, list[Binding]] = defaultdict(list)
            for binding in bindings:
                by_key[binding.key].append(binding)
            return lambda key, _headers: by_key.get(key, ())
        case "topic":
            topics: PatternTable[Binding] = PatternTable()
            for binding in bindings:
                topics.add(topic(binding.key), binding)
            return lambda key, _headers: topics.lookup(key)
        case "fanout":
            return lambda _key, _headers: bindings
        case "headers":
            return lambda _key, headers: [
                binding for binding in bindings if headers_match(binding.arguments, headers)
            ]
        case _:
            return None
