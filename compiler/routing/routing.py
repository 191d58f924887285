"""Where a key goes: from an exchange to the set of queues, over the whole graph.

The rules are those of RabbitMQ's `rabbit_exchange:route`: every exchange is visited once; a queue
gets a message once; an alternate exchange is used only when the exchange's own bindings, to queues
or to exchanges, matched nothing; the default exchange knows every queue by its name. An exchange of
a plugin's type may choose one of its destinations. A message then has several fates, and each of
them is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any

from routewright.compiler.keys import key_classes as keyspace
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, exactly
from routewright.compiler.model.task_keys import keys_of, placeholders
from routewright.compiler.model.topology import Binding, Exchange, Queue, Task, Topology
from routewright.compiler.rabbitmq.exchange_types import CHOOSING_TYPES, KNOWN_TYPES
from routewright.compiler.routing.by_headers import ByHeaders
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.delivery import (
    Arrival,
    Delivery,
    Hop,
    Outcome,
    Witness,
    distinct,
    merged,
)
from routewright.compiler.routing.matching import Match, matcher, pattern_of
from routewright.compiler.routing.walk import Steps, walk

# What others ask of routing is here, wherever it is made.
__all__ = ["Delivery", "Hop", "Outcome", "Routing", "headers_of", "pattern_of"]


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
        self._of_exchanges: dict[str, Sequence[Witness]] = {}
        self._of_headers: dict[str, Sequence[Witness]] = {}
        self._by_headers = ByHeaders(topology, self)

    def bindings_to(self, queue: Queue) -> Sequence[Binding]:
        """The bindings that lead to a queue."""
        return self._incoming.get(queue.name, ())

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """The dead letters of the topology."""
        return DeadLetters(self._topology, self)

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
        """Where the messages of a task go: its key and its fate, or each of its fates.

        Of a key with placeholders, the smallest key and the fates of each class of keys that they
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
        headers = headers_of(task)
        if task.is_pattern and self._looks_at_names():
            raise Undecided("a headers exchange looks at the name of the task")
        if not placeholders(key):
            for fate in self.fates(exchange, key, headers):
                yield key, fate
            return
        by_headers = any(it.routes_as == "headers" for it in self._topology.exchanges.values())
        for keys in keys_of(task):
            yield from self.classes(
                exchange, [keys.within], headers if by_headers else None, apart=keys.apart
            )

    def _looks_at_names(self) -> bool:
        """Whether a headers binding asks for the header that has the task's name."""
        bindings = self._topology.bindings
        return any("task" in it.arguments for it in bindings if it.source.routes_as == "headers")

    @cached_property
    def arrivals(self) -> Mapping[str, Arrival]:
        """The first task's message that may get to each queue which some task is sent to."""
        found: dict[str, Arrival] = {}
        for task in self._topology.tasks.values():
            for key, delivery in self.ways(task):
                for name in delivery.queues:
                    if name not in found:
                        found[name] = Arrival(task.exchange.name, key, delivery)
        return found

    def reach(self, task: Task) -> tuple[str, ...]:
        """The sorted names of the queues that the messages of a task reach, with whatever key."""
        return tuple(sorted({name for _, it in self.ways(task) for name in it.queues}))

    def is_tap(self, queue: str) -> bool:
        """Whether a queue only gets copies."""
        return self._topology.queues[queue].tap

    def route(self, exchange: str, key: str, headers: Mapping[str, Any] | None = None) -> Delivery:
        """Where a message with this routing key and these headers goes."""
        return merged(self.fates(exchange, key, headers))

    def fates(
        self, exchange: str, key: str, headers: Mapping[str, Any] | None = None
    ) -> Sequence[Delivery]:
        """All that may become of a message: one fate, or several where an exchange chooses."""
        first = self._topology.exchange(exchange)
        if first is None:
            return (Delivery((), Outcome.NO_EXCHANGE),)
        if not exchange:
            return (self._by_default_exchange(key),)
        return distinct(self._walk(first, lambda it: self._matching(it, key, headers or {})))

    def classes(
        self,
        exchange: str,
        within: Sequence[Pattern] = (),
        headers: Mapping[str, Any] | None = None,
        apart: Sequence[Pattern] = (),
    ) -> Iterator[tuple[str, Delivery]]:
        """Where every key goes that matches all of some patterns, and none of those in `apart`.

        For each class of keys that are routed alike, the smallest of them and its fate, or each of
        its fates.

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
        looked_at = 0
        for found in key_classes(table, within, apart):
            fates = self.fates_of(exchange, found.values)
            looked_at += len(fates)
            if looked_at > keyspace.MAX_STATES:
                raise Undecided(f"messages have more than {keyspace.MAX_STATES:,} fates")
            for fate in distinct(fates):
                yield found.witness, fate

    def destinations(self, exchange: str) -> Sequence[Witness]:
        """Every set of queues that some key reaches, by the smallest such key.

        Messages are taken to have no headers.

        Raises:
            Undecided: there are more classes of keys than are looked at.
        """
        if exchange not in self._of_exchanges:
            found = (Witness(key, fate) for key, fate in self.classes(exchange))
            self._of_exchanges[exchange] = _first_of_each(found)
        return self._of_exchanges[exchange]

    def destinations_by_headers(self, exchange: str) -> Sequence[Witness]:
        """Every set of queues that some key reaches with some headers, if headers matter.

        A task's messages have the headers of Celery's protocol, of which the language is known.

        Raises:
            Undecided: there are more classes of keys than are looked at.
            Undecidable: there are more combinations of headers.
        """
        if exchange not in self._of_headers:
            self._of_headers[exchange] = _first_of_each(self._by_headers.messages(exchange))
        return self._of_headers[exchange]

    def whatever_headers(
        self, exchange: str, within: Sequence[Pattern], apart: Sequence[Pattern] = ()
    ) -> Iterator[tuple[str, Delivery]]:
        """Where every key goes that matches some patterns and not others, if that is known.

        Where some headers lead a key to queues and others to none, it is undecided.

        Raises:
            Undecided: there are more classes of keys than are looked at.
            Undecidable: there are more combinations of headers.
        """
        if self._by_headers.matter(exchange):
            return self._by_headers.whatever_they_are(exchange, within, apart)
        return self.classes(exchange, within, apart=apart)

    def cone(
        self, exchange: str, headers: Mapping[str, Any] | None
    ) -> Iterator[tuple[Pattern, Binding]]:
        """The bindings of every exchange that a message may come to, and the keys they match.

        With None they are those of messages with whatever headers.
        """
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
        return merged(distinct(self.fates_of(exchange, bindings)))

    def fates_of(self, exchange: str, bindings: Iterable[Binding]) -> Sequence[Delivery]:
        """All that may become of a message that matches just these bindings."""
        first = self._topology.exchange(exchange)
        if first is None:
            return (Delivery((), Outcome.NO_EXCHANGE),)
        matched: defaultdict[str, list[Binding]] = defaultdict(list)
        for binding in bindings:
            matched[binding.source.name].append(binding)
        return self._walk(first, partial(_of_source, matched))

    def _walk(
        self, first: Exchange, matching: Callable[[Exchange], Iterable[Binding] | None]
    ) -> Sequence[Delivery]:
        """Follow a message through the graph, given which bindings of an exchange it matches."""

        def leaving(source: Exchange) -> Sequence[Steps] | None:
            bindings = matching(source)
            return None if bindings is None else self._leaving(source, bindings)

        return walk(first, leaving, self.behind)

    def behind(self, exchange: Exchange) -> Iterator[str]:
        """The queues that some message may reach from an exchange."""
        for source in self._onward(exchange):
            for binding in self._outgoing.get(source.name, ()):
                if isinstance(binding.destination, Queue):
                    yield binding.destination.name

    def _onward(self, exchange: Exchange) -> Iterator[Exchange]:
        """An exchange, and those that some message may come to from there."""
        waiting, seen = [exchange], {exchange.name}
        while waiting:
            source = waiting.pop()
            yield source
            ends = [binding.destination for binding in self._outgoing.get(source.name, ())]
            alternate = self._topology.exchange(source.alternate_exchange or "")
            for end in chain(ends, [alternate] if alternate else []):
                if isinstance(end, Exchange) and end.name not in seen:
                    seen.add(end.name)
                    waiting.append(end)

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
            self._tables[source.name] = matcher(source, self._outgoing[source.name])
        table = self._tables[source.name]
        return None if table is None else table(key, headers)

    def _leaving(self, source: Exchange, bindings: Iterable[Binding]) -> Sequence[Steps]:
        """The ways out of one exchange: by its bindings, or else to its alternate exchange."""
        ordered = sorted(bindings, key=lambda it: (it.destination.name, it.key))
        hops = [Hop(source.name, it.destination, it) for it in ordered]
        if hops and source.routes_as in CHOOSING_TYPES:
            return _to_each(hops)
        if not hops and source.alternate_exchange is not None:
            alternate = self._topology.exchange(source.alternate_exchange)
            if alternate is not None:
                hops.append(Hop(source.name, alternate))
        return (hops,)


def headers_of(task: Task) -> Mapping[str, Any]:
    """The headers of a task's messages that are known, as they are in Celery's protocol."""
    return {"lang": "py", "task": task.name, **task.headers}


def _first_of_each(found: Iterable[Witness]) -> Sequence[Witness]:
    """The first message for each set of queues and outcome."""
    first: dict[tuple[tuple[str, ...], Outcome], Witness] = {}
    for witness in found:
        first.setdefault((witness.delivery.queues, witness.delivery.outcome), witness)
    return tuple(first.values())


def _to_each(hops: Iterable[Hop]) -> Sequence[Steps]:
    """Steps that exclude each other, by destination."""
    to: defaultdict[tuple[type, str], list[Hop]] = defaultdict(list)
    for hop in hops:
        to[type(hop.destination), hop.destination.name].append(hop)
    return tuple(to.values())


def _of_source(matched: Mapping[str, list[Binding]], source: Exchange) -> Iterable[Binding] | None:
    return matched.get(source.name, ()) if source.routes_as in KNOWN_TYPES else None
