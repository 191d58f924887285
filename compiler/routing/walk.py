"""Follows a message through the graph, by every path where an exchange chooses.

The rules are those of RabbitMQ's `rabbit_exchange:route`: every exchange is visited once; a queue
gets a message once; an alternate exchange is used only when the exchange's own bindings, to queues
or to exchanges, matched nothing. An exchange of a plugin's type may choose one of its destinations.
A message then has several possible deliveries, and each of them is followed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from routewright.compiler.model.topology import Binding, Exchange, Queue
from routewright.compiler.rabbitmq.exchange_types import CHOOSING_TYPES, KNOWN_TYPES
from routewright.compiler.routing.delivery import Delivery, Hop, Outcome
from routewright.compiler.routing.graph import Graph

MAX_DELIVERIES = 1000  # of one message

Matching: TypeAlias = Callable[[Exchange], Iterable[Binding] | None]
"""The bindings of an exchange that a message matches; None where nothing is known of its type."""

_Steps: TypeAlias = Sequence[Hop]


@dataclass(slots=True)
class _Message:
    """A message on its way: the exchanges that it has still to leave, and all that it met."""

    waiting: list[Exchange]
    seen: set[str]
    queues: set[str] = field(default_factory=set)
    hops: list[Hop] = field(default_factory=list)
    unknown: list[Exchange] = field(default_factory=list)

    def copy(self) -> _Message:
        return _Message(
            self.waiting[:], set(self.seen), set(self.queues), self.hops[:], self.unknown[:]
        )

    def take(self, steps: _Steps) -> None:
        self.hops += steps
        for hop in steps:
            destination = hop.destination
            if isinstance(destination, Queue):
                self.queues.add(destination.name)
            elif destination.name not in self.seen:
                self.seen.add(destination.name)
                self.waiting.append(destination)


def walk(graph: Graph, first: Exchange, matching: Matching) -> Sequence[Delivery]:
    """Follows a message from an exchange: its deliveries, one for each path that it may take.

    Where there are more than `MAX_DELIVERIES` of them, the result is a single undecided one.
    """
    unfinished = [_Message([first], {first.name})]
    finished: list[Delivery] = []
    while unfinished:
        message = unfinished.pop()
        while message.waiting:
            source = message.waiting.pop()
            bindings = matching(source)
            if bindings is None:
                message.unknown.append(source)
                continue
            choices = _choices(graph, source, bindings)
            if len(choices) + len(unfinished) + len(finished) > MAX_DELIVERIES:
                behind = sorted({*graph.queues_behind(first.name)})
                return [Delivery((), Outcome.UNDECIDED, (), tuple(behind))]
            for steps in choices[1:]:
                other = message.copy()
                other.take(steps)
                unfinished.append(other)
            message.take(choices[0])
        finished.append(_delivery(graph, message))
    return finished


def walk_by(graph: Graph, exchange: str, bindings: Iterable[Binding]) -> Sequence[Delivery]:
    """Follows a message that matches just these bindings, whichever exchanges it meets."""
    first = graph.topology.exchange(exchange)
    if first is None:
        return (Delivery((), Outcome.NO_EXCHANGE),)
    matched: defaultdict[str, list[Binding]] = defaultdict(list)
    for binding in bindings:
        matched[binding.source.name].append(binding)

    def matching(source: Exchange) -> Iterable[Binding] | None:
        return matched.get(source.name, ()) if source.routes_as in KNOWN_TYPES else None

    return walk(graph, first, matching)


def _choices(graph: Graph, source: Exchange, bindings: Iterable[Binding]) -> Sequence[_Steps]:
    """The steps out of an exchange: by its bindings, or else to its alternate exchange.

    There are several sequences of steps where the exchange chooses one of its destinations.
    """
    ordered = sorted(bindings, key=lambda it: (it.destination.name, it.key))
    hops = [Hop(source.name, it.destination, it) for it in ordered]
    if hops and source.routes_as in CHOOSING_TYPES:
        return _by_destination(hops)
    if not hops:
        alternate = graph.alternate_of(source)
        if alternate is not None:
            hops.append(Hop(source.name, alternate))
    return (hops,)


def _by_destination(hops: Iterable[Hop]) -> Sequence[_Steps]:
    to: defaultdict[tuple[type, str], list[Hop]] = defaultdict(list)
    for hop in hops:
        to[type(hop.destination), hop.destination.name].append(hop)
    return tuple(to.values())


def _delivery(graph: Graph, message: _Message) -> Delivery:
    queues, hops = tuple(sorted(message.queues)), tuple(message.hops)
    if message.unknown:
        behind = {*graph.queues_behind(*(it.name for it in message.unknown))}
        return Delivery(queues, Outcome.UNDECIDED, hops, tuple(sorted(behind - message.queues)))
    return Delivery(queues, Outcome.DELIVERED if queues else Outcome.UNROUTABLE, hops)
