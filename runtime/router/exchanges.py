"""The exchanges of a topology and where they lead, so that any key can be routed before it is sent.

The rules are RabbitMQ's (`rabbit_exchange:route`), as in the compiler, which proves the compiled
routes by a machinery of its own; the tests hold both against each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from routewright.runtime.router.headers import headers_match
from routewright.runtime.router.topics import TopicTable

Criterion: TypeAlias = "str | Mapping[str, Any]"
"""What a binding asks of a message: its binding key, or of a headers exchange its arguments."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange, and its bindings to queues and to other exchanges, by name."""

    name: str
    type: str = "direct"
    queues: tuple[tuple[Criterion, str], ...] = ()
    exchanges: tuple[tuple[Criterion, str], ...] = ()
    alternate: str | None = None
    internal: bool = False


@dataclass(frozen=True, slots=True)
class Reached:
    """The queues that a message reaches, sorted; not `certain` if only the broker knows them all.

    That is so when it meets an exchange whose type nothing is known of.
    """

    queues: tuple[str, ...]
    certain: bool = True


Destination: TypeAlias = tuple[bool, str]  # whether it is a queue, and its name
Match: TypeAlias = Callable[[str, Mapping[str, Any]], Iterable[Destination]]

_ALWAYS_THERE = (
    Exchange("amq.direct", "direct"),
    Exchange("amq.fanout", "fanout"),
    Exchange("amq.topic", "topic"),
    Exchange("amq.headers", "headers"),
    Exchange("amq.match", "headers"),
)


class Graph:
    """All exchanges of a topology; the tables of each are made when it is first asked for.

    Args:
        exchanges: those that are declared, and those of the broker's own that are bound.
        queues: the names of all queues, which the default exchange knows.
    """

    def __init__(self, exchanges: Iterable[Exchange], queues: Iterable[str]) -> None:
        self.queues = frozenset(queues)
        self.exchanges = {it.name: it for it in (*_ALWAYS_THERE, *exchanges)}
        self.looks_at_headers = any(
            it.type == "headers" and (it.queues or it.exchanges) for it in self.exchanges.values()
        )
        self._tables: dict[str, Match | None] = {}

    def reached(self, exchange: str, key: str, headers: Mapping[str, Any]) -> Reached:
        """Where a message goes that is published to an exchange."""
        if not exchange:
            return Reached((key,) if key in self.queues else ())
        queues: set[str] = set()
        waiting, seen, certain = [exchange], {exchange}, True
        while waiting:
            source = self.exchanges.get(waiting.pop())
            if source is None:
                continue
            table = self._table(source)
            if table is None:
                certain = False
                continue
            found = list(table(key, headers))
            if not found and source.alternate is not None:
                found = [(False, source.alternate)]
            for is_queue, name in found:
                if is_queue:
                    queues.add(name)
                elif name not in seen:
                    seen.add(name)
                    waiting.append(name)
        return Reached(tuple(sorted(queues)), certain)

    def _table(self, exchange: Exchange) -> Match | None:
        if exchange.name not in self._tables:
            self._tables[exchange.name] = _table(exchange)
        return self._tables[exchange.name]


def _table(exchange: Exchange) -> Match | None:
    """How an exchange picks among its bindings; None for a type of some plugin."""
    bindings: list[tuple[Any, Destination]] = [
        *((criterion, (True, name)) for criterion, name in exchange.queues),
        *((criterion, (False, name)) for criterion, name in exchange.exchanges),
    ]
    match exchange.type:
        case "direct":
            by_key: defaultdict[str, list[Destination]] = defaultdict(list)
            for key, destination in bindings:
                by_key[key].append(destination)
            return lambda key, _headers: by_key.get(key, ())
        case "topic":
            topics = TopicTable(bindings)
            return lambda key, _headers: topics.lookup(key)
        case "fanout":
            destinations = [destination for _, destination in bindings]
            return lambda _key, _headers: destinations
        case "headers":
            return lambda _key, headers: [
                destination for wanted, destination in bindings if headers_match(wanted, headers)
            ]
        case _:
            return None
