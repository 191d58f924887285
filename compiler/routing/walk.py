"""The way of a message through the graph of exchanges, and every way where one of them chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from routewright.compiler.model.topology import Exchange, Queue
from routewright.compiler.routing.delivery import Delivery, Hop, Outcome

MAX_FATES = 1000  # of one message

Steps = Sequence[Hop]
Leaving = Callable[[Exchange], Sequence[Steps] | None]
"""The steps that a message may take out of an exchange; None when that is not known."""


@dataclass(slots=True)
class _Message:
    """A message on its way: the exchanges that it still has to leave, and all that it met."""

    waiting: list[Exchange]
    seen: set[str]
    queues: set[str] = field(default_factory=set)
    hops: list[Hop] = field(default_factory=list)
    unknown: list[Exchange] = field(default_factory=list)

    def copy(self) -> _Message:
        return _Message(
            self.waiting[:], set(self.seen), set(self.queues), self.hops[:], self.unknown[:]
        )

    def take(self, steps: Steps) -> None:
        self.hops += steps
        for hop in steps:
            destination = hop.destination
            if isinstance(destination, Queue):
                self.queues.add(destination.name)
            elif destination.name not in self.seen:
                self.seen.add(destination.name)
                self.waiting.append(destination)


def walk(
    first: Exchange, leaving: Leaving, behind: Callable[[Exchange], Iterable[str]]
) -> list[Delivery]:
    """Follow a message from an exchange: its fates, one for each way that it may take.

    `behind` gives the queues that a message may reach from an exchange in whatever way. Where
    there are more than `MAX_FATES` ways, the one fate is that it is undecided.
    """
    begun = [_Message([first], {first.name})]
    ended: list[Delivery] = []
    while begun:
        message = begun.pop()
        while message.waiting:
            source = message.waiting.pop()
            ways = leaving(source)
            if ways is None:
                message.unknown.append(source)
                continue
            if len(ways) + len(begun) + len(ended) > MAX_FATES:
                return [Delivery((), Outcome.UNDECIDED, (), tuple(sorted(set(behind(first)))))]
            for steps in ways[1:]:
                other = message.copy()
                other.take(steps)
                begun.append(other)
            message.take(ways[0])
        ended.append(_fate(message, behind))
    return ended


def _fate(message: _Message, behind: Callable[[Exchange], Iterable[str]]) -> Delivery:
    queues, hops = tuple(sorted(message.queues)), tuple(message.hops)
    if message.unknown:
        possible = {name for it in message.unknown for name in behind(it)} - message.queues
        return Delivery(queues, Outcome.UNDECIDED, hops, tuple(sorted(possible)))
    return Delivery(queues, Outcome.DELIVERED if queues else Outcome.UNROUTABLE, hops)
