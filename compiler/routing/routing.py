"""Answers where messages of a topology go, from an exchange to queues.

Each answer is computed when it is first asked for, and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from routewright.compiler.keys import key_classes as keyspace
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, exactly
from routewright.compiler.model.task_keys import keys_of, placeholders
from routewright.compiler.model.topology import Binding, Exchange, Task, Topology
from routewright.compiler.routing.by_headers import ByHeaders
from routewright.compiler.routing.delivery import (
    Arrival,
    Delivery,
    Hop,
    Outcome,
    Witness,
    combined,
    distinct,
)
from routewright.compiler.routing.graph import Graph
from routewright.compiler.routing.matching import Match, matcher
from routewright.compiler.routing.walk import walk, walk_by


class Routing:
    """Answers where the messages of one topology go."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.graph = Graph(topology)
        self._matchers: dict[str, Match | None] = {}
        self._cones: dict[str, PatternTable[Binding]] = {}
        self._of_tasks: dict[str, Sequence[tuple[str, Delivery]]] = {}
        self._of_exchanges: dict[str, Sequence[Witness]] = {}
        self._of_headers: dict[str, Sequence[Witness]] = {}
        self._by_headers = ByHeaders(self.graph)

    def route(self, exchange: str, key: str, headers: Mapping[str, Any] | None = None) -> Delivery:
        """Returns the delivery of a message with this routing key and these headers."""
        return combined(self.deliveries(exchange, key, headers))

    def deliveries(
        self, exchange: str, key: str, headers: Mapping[str, Any] | None = None
    ) -> Sequence[Delivery]:
        """Every delivery that a message may have: one, or several where an exchange chooses."""
        first = self.topology.exchange(exchange)
        if first is None:
            return (Delivery((), Outcome.NO_EXCHANGE),)
        if not exchange:
            return (self._by_default_exchange(key),)
        return distinct(walk(self.graph, first, lambda it: self._matching(it, key, headers or {})))

    def deliver(self, exchange: str, bindings: Iterable[Binding]) -> Delivery:
        """Where a message goes that matches just these bindings, whichever exchanges it meets."""
        return combined(distinct(walk_by(self.graph, exchange, bindings)))

    def deliveries_of(self, task: Task) -> Sequence[tuple[str, Delivery]]:
        """The deliveries that a task's messages may have, each with its routing key.

        Of a key with placeholders, the smallest key and the deliveries of each class of keys that
        they may make of it; where there are too many, the key itself and that it is undecided.
        """
        known = self._of_tasks.get(task.name)
        if known is None:
            try:
                known = tuple(self._follow(task))
            except Undecided:
                known = ((task.routing_key, Delivery((), Outcome.UNDECIDED)),)
            self._of_tasks[task.name] = known
        return known

    def _follow(self, task: Task) -> Iterator[tuple[str, Delivery]]:
        exchange, key = task.exchange.name, task.routing_key
        headers = headers_of(task)
        if task.is_pattern and self._looks_at_names():
            raise Undecided("a headers exchange looks at the name of the task")
        if not placeholders(key):
            for delivery in self.deliveries(exchange, key, headers):
                yield key, delivery
            return
        by_headers = any(it.routes_as == "headers" for it in self.topology.exchanges.values())
        for keys in keys_of(task):
            yield from self.classes(
                exchange, [keys.within], headers if by_headers else None, apart=keys.apart
            )

    def _looks_at_names(self) -> bool:
        """Returns True if a headers binding asks for the header that has the task's name."""
        bindings = self.topology.bindings
        return any("task" in it.arguments for it in bindings if it.source.routes_as == "headers")

    @cached_property
    def arrivals(self) -> Mapping[str, Arrival]:
        """The first task's message that may get to each queue which some task is sent to."""
        found: dict[str, Arrival] = {}
        for task in self.topology.tasks.values():
            for key, delivery in self.deliveries_of(task):
                for name in delivery.queues:
                    if name not in found:
                        found[name] = Arrival(task.exchange.name, key, delivery)
        return found

    def reach(self, task: Task) -> tuple[str, ...]:
        """The sorted names of the queues that the messages of a task reach, with whatever key."""
        return tuple(sorted({name for _, it in self.deliveries_of(task) for name in it.queues}))

    def classes(
        self,
        exchange: str,
        within: Sequence[Pattern] = (),
        headers: Mapping[str, Any] | None = None,
        apart: Sequence[Pattern] = (),
    ) -> Iterator[tuple[str, Delivery]]:
        """Where every key goes that matches all of some patterns, and none of those in `apart`.

        For each class of keys that are routed alike, the smallest of them with each delivery that
        it may have.

        Raises:
            Undecided: there are more classes than are looked at.
        """
        if not exchange:
            names: PatternTable[None] = PatternTable()
            for name in self.topology.queues:
                names.add(exactly(name), None)
            for by_name in key_classes(names, within, apart):
                yield by_name.witness, self._by_default_exchange(by_name.witness)
            return
        table = None if headers else self._cones.get(exchange)
        if table is None:
            table = PatternTable()
            for pattern, binding in self.graph.cone(exchange, headers or {}):
                table.add(pattern, binding)
            if not headers:
                self._cones[exchange] = table
        looked_at = 0
        for found in key_classes(table, within, apart):
            deliveries = walk_by(self.graph, exchange, found.values)
            looked_at += len(deliveries)
            if looked_at > keyspace.MAX_STATES:
                raise Undecided(f"messages have more than {keyspace.MAX_STATES:,} fates")
            for delivery in distinct(deliveries):
                yield found.witness, delivery

    def destinations(self, exchange: str) -> Sequence[Witness]:
        """Every set of queues that some key reaches, by the smallest such key.

        Messages are taken to have no headers.

        Raises:
            Undecided: there are more classes of keys than are looked at.
        """
        if exchange not in self._of_exchanges:
            found = (Witness(key, delivery) for key, delivery in self.classes(exchange))
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

    def _by_default_exchange(self, key: str) -> Delivery:
        queue = self.topology.queues.get(key)
        if queue is None:
            return Delivery((), Outcome.UNROUTABLE)
        return Delivery((key,), Outcome.DELIVERED, (Hop("", queue),))

    def _matching(
        self, source: Exchange, key: str, headers: Mapping[str, Any]
    ) -> Iterable[Binding] | None:
        """The bindings of one exchange that a message matches; None when its type is unknown."""
        if source.name not in self._matchers:
            bindings = self.graph.bindings_from(source.name)
            self._matchers[source.name] = matcher(source, bindings)
        match = self._matchers[source.name]
        return None if match is None else match(key, headers)


def headers_of(task: Task) -> Mapping[str, Any]:
    """The headers of a task's messages that are known, as they are in Celery's protocol."""
    return {"lang": "py", "task": task.name, **task.headers}


def _first_of_each(found: Iterable[Witness]) -> Sequence[Witness]:
    """The first message for each set of queues and outcome."""
    first: dict[tuple[tuple[str, ...], Outcome], Witness] = {}
    for witness in found:
        first.setdefault((witness.delivery.queues, witness.delivery.outcome), witness)
    return tuple(first.values())
