"""All that is ever there while some changes are made, and the exchanges that they concern."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.planner.simulated_host import Identity, SimulatedHost

_End: TypeAlias = tuple[type[Exchange | Queue], str]


class Course:
    """The way from a topology through changes that are all known beforehand.

    Attributes:
        after: the state after all changes.
        known: the bindings that are there at any moment.
        moving: those that are there at some moments and not at others.
        there: the exchanges that are there before.
        changed: the exchanges out of which some message may go elsewhere.
        rebuilt: the exchanges of which that may be any message.
    """

    def __init__(self, before: Topology, changes: Sequence[Change]) -> None:
        self._before = before
        self.after = SimulatedHost(before)
        self.known = {it.identity: it for it in before.bindings}
        self.known |= {
            it.binding.identity: it.binding for it in changes if isinstance(it, kinds.Bind)
        }
        removed = {*_removed(changes)}
        self.moving = {*_moving(changes, self.known, removed)}
        self.there = {it.name for it in before.every_exchange()}
        self.changed = {*_changed_sources(changes, before, removed)}
        self.rebuilt = _rebuilt(changes, before)
        self._alternates: defaultdict[str, set[str]] = defaultdict(set)
        self._take(changes)
        self._following: defaultdict[str, set[str]] = defaultdict(set)
        for binding in self.known.values():
            if isinstance(binding.destination, Exchange):
                self._following[binding.source.name].add(binding.destination.name)

    def concerned(self) -> dict[str, set[str]]:
        """Finds the exchanges that get messages for which something changes.

        Those are exchanges that are there before and after, and get messages from publishers, or
        an internal one as dead letters.

        Returns:
            By their names, the exchanges that a message may come to from there at any moment.
        """
        return {
            name: cone
            for name in self._entries()
            if not self.changed.isdisjoint(cone := self._cone(name))
        }

    def is_plain(self, exchange: str) -> bool:
        """Returns True if an exchange neither is the alternate of one nor has one, ever."""
        behind = (exchange in names for names in self._alternates.values())
        return not self._alternates.get(exchange) and not any(behind)

    def exchanges(self) -> dict[str, Exchange]:
        """Returns the exchanges that bindings ever hold, without those that are predeclared."""
        ends = (end for it in self.known.values() for end in (it.source, it.destination))
        predeclared = self.after.predeclared
        return {
            it.name: it for it in ends if isinstance(it, Exchange) and it.name not in predeclared
        }

    def queues(self) -> dict[str, Queue]:
        """Returns the queues that bindings ever hold."""
        ends = (it.destination for it in self.known.values())
        return {it.name: it for it in ends if isinstance(it, Queue)}

    def _take(self, changes: Iterable[Change]) -> None:
        """Makes all changes, and notes every alternate exchange that there is in between."""
        self._note_alternates()
        for change in changes:
            match change:
                case kinds.DeclareExchange(exchange):
                    self.after.take(change)
                    self._note_alternates([exchange.name])
                case kinds.SetPolicy() | kinds.RemovePolicy():
                    earlier = alternates(self.after)
                    self.after.take(change)
                    self._note_alternates()
                    falling = {name for name, _ in alternates(self.after).items() ^ earlier.items()}
                    self.changed |= falling
                    self.rebuilt |= falling
                case _:
                    self.after.take(change)

    def _note_alternates(self, names: Iterable[str] | None = None) -> None:
        """Adds the alternate exchanges of the present state, or of some of its exchanges."""
        every = {**self.after.predeclared, **self.after.exchanges}
        for name in every if names is None else names:
            alternate = every[name].alternate_exchange
            if alternate:
                self._alternates[name].add(alternate)

    def _entries(self) -> Iterator[str]:
        """Yields the exchanges that are there before and after, and get messages."""
        before, after = self._before, self.after
        queues = (*before.queues.values(), *after.queues.values())
        behind_queues = {it.dead_letter_exchange for it in queues}
        for name, exchange in sorted({**before.predeclared, **before.exchanges}.items()):
            stays = name in after.exchanges or name in after.predeclared
            if name and stays and (not exchange.internal or name in behind_queues):
                yield name

    def _cone(self, exchange: str) -> set[str]:
        """Finds the exchanges that a message may come to at any moment."""
        waiting, seen = [exchange], {exchange}
        while waiting:
            name = waiting.pop()
            for each in (*self._following.get(name, ()), *self._alternates.get(name, ())):
                if each not in seen:
                    seen.add(each)
                    waiting.append(each)
        return seen


def alternates(state: SimulatedHost) -> dict[str, str | None]:
    """Returns the alternate exchange of every exchange."""
    every = {**state.predeclared, **state.exchanges}
    return {name: it.alternate_exchange for name, it in every.items()}


def _removed(changes: Iterable[Change]) -> Iterator[_End]:
    """Yields the queues and exchanges that are removed, with what is bound to them."""
    for change in changes:
        match change:
            case kinds.RemoveQueue(queue):
                yield Queue, queue.name
            case kinds.RemoveExchange(exchange):
                yield Exchange, exchange.name
            case _:
                pass


def _ends_in(binding: Binding, ends: set[_End]) -> bool:
    return (type(binding.destination), binding.destination.name) in ends


def _moving(
    changes: Iterable[Change], known: Mapping[Identity, Binding], removed: set[_End]
) -> Iterator[Identity]:
    """Yields the bindings that are there at some moments and not at others."""
    for change in changes:
        if isinstance(change, (kinds.Bind, kinds.Unbind)):
            yield change.binding.identity
    if removed:
        yield from (identity for identity, it in known.items() if _ends_in(it, removed))


def _changed_sources(
    changes: Iterable[Change], before: Topology, removed: set[_End]
) -> Iterator[str]:
    """Yields the exchanges out of which some message may go elsewhere; policies apart."""
    for change in changes:
        match change:
            case kinds.Bind(binding) | kinds.Unbind(binding):
                yield binding.source.name
            case kinds.DeclareExchange(exchange) | kinds.RemoveExchange(exchange):
                yield exchange.name
            case _:
                pass
    if removed:
        yield from (it.source.name for it in before.bindings if _ends_in(it, removed))


def _rebuilt(changes: Iterable[Change], before: Topology) -> set[str]:
    """Finds the exchanges that come or go where something is there already that leads to them."""
    every = {it.name: it for it in before.every_exchange()}
    led_to = every.keys() | {it.alternate_exchange for it in every.values()}
    return {
        it.exchange.name
        for it in changes
        if isinstance(it, (kinds.DeclareExchange, kinds.RemoveExchange))
        and it.exchange.name in led_to
    }
