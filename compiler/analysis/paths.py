"""The way of a message to a queue, in one line."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from routewright.compiler.diagnostics.diagnostic import Note
from routewright.compiler.model.topology import Exchange, Queue
from routewright.compiler.rabbitmq.exchange_types import CHOOSING_TYPES, CONSISTENT_HASH
from routewright.compiler.routing.delivery import Arrival, Delivery, Hop

_MOST_SHOWN = 8  # steps


def how(hop: Hop) -> str:
    """What makes an exchange take a step, for people."""
    if hop.binding is None:
        return "nothing matched, alternate" if hop.exchange else "by its name"
    binding = hop.binding
    match binding.source.routes_as:
        case "headers":
            return f"headers {dict(binding.arguments)}"
        case "fanout":
            return "every message"
        case kind if kind in CHOOSING_TYPES:
            weight = f", weight {binding.key}" if kind == CONSISTENT_HASH else ""
            return f"one of these{weight}"
        case _:
            return f"`{binding.key}`"


def paths(exchange: str, delivery: Delivery, queues: Iterable[str]) -> Iterator[Note]:
    """How a message that was published to an exchange gets to some queues, a note for each."""
    for name in queues:
        hops = _shortest(exchange, delivery.hops, Queue, name)
        if hops:
            last = hops[-1].binding
            yield Note(_line(hops), last.origin.span("binding_key") if last else None)


def dead_ends(exchange: str, delivery: Delivery) -> Iterator[Note]:
    """How a message gets to exchanges that pass it on to nothing, a note for each."""
    leaving = {hop.exchange for hop in delivery.hops}
    for hop in delivery.hops:
        end = hop.destination
        if isinstance(end, Exchange) and end.name not in leaving:
            leaving.add(end.name)
            hops = _shortest(exchange, delivery.hops, Exchange, end.name)
            last = hops[-1].binding
            yield Note(
                f"{_line(hops)}, and no further",
                last.origin.span("binding_key") if last else None,
            )


def path_of(arrival: Arrival | None, queue: str) -> tuple[Note, ...]:
    """How a task's message gets to a queue; nothing where none does."""
    return tuple(paths(arrival.exchange, arrival.delivery, [queue])) if arrival else ()


def _shortest(
    exchange: str, hops: Iterable[Hop], kind: type[Exchange | Queue], name: str
) -> Sequence[Hop]:
    """The steps to a destination, of those that a message takes; none if it does not get there."""
    leaving: dict[str, list[Hop]] = {}
    for hop in hops:
        leaving.setdefault(hop.exchange, []).append(hop)
    waiting: deque[tuple[str, tuple[Hop, ...]]] = deque([(exchange, ())])
    seen = {exchange}
    while waiting:
        at, way = waiting.popleft()
        for hop in leaving.get(at, ()):
            end = hop.destination
            if isinstance(end, kind) and end.name == name:
                return (*way, hop)
            if isinstance(end, Exchange) and end.name not in seen:
                seen.add(end.name)
                waiting.append((end.name, (*way, hop)))
    return ()


def _line(hops: Sequence[Hop]) -> str:
    first = f"exchange `{hops[0].exchange}`" if hops[0].exchange else "the default exchange"
    shown = [*hops[: _MOST_SHOWN - 1], hops[-1]] if len(hops) > _MOST_SHOWN else hops
    steps = [f"{how(hop)} -> {_kind(hop.destination)} `{hop.destination.name}`" for hop in shown]
    if len(hops) > _MOST_SHOWN:
        steps.insert(-1, "...")
    return " -> ".join([first, *steps])


def _kind(destination: Exchange | Queue) -> str:
    return "queue" if isinstance(destination, Queue) else "exchange"
