"""Exchanges that stand in while bindings change which cannot change one by one.

A key that shall leave one queue for another is lost if the old binding goes first, and doubled if
the new one comes first. The broker has one step that does both: an exchange passes a message to its
alternate exchange unless a binding of its own matches. So beside each exchange E that is concerned
stand three for a while: `old`, bound as E was; `new`, bound as E shall be; and `switch`, a fanout
whose alternate exchange is `old`. E is bound to `switch`, which changes nothing, for a queue gets a
message once; then E's own bindings go; then `switch` is bound to `new`, and from that step on
everything goes where it shall go; then E gets its new bindings, and the three are removed. Where
that is enough, E is bound to `switch` by the keys alone that something changes for.

Where an exchange that is concerned leads to another one, the copies lead to the other's copies, so
that every exchange that messages are published to is switched in one step of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from routewright.compiler.keys.patterns import Pattern, intersects
from routewright.compiler.lowering.delay_names import is_on_the_ladder, prefixes
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.standin_names import copy_name, read_name
from routewright.compiler.planner.simulate import Simulation
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE
from routewright.compiler.routing.graph import reachable
from routewright.compiler.routing.matching import pattern_of

COPIED_TYPES = ("direct", "topic", "fanout", "headers")


@dataclass(frozen=True, slots=True)
class CarriedOver:
    """Changes that carry some exchanges over, and which changes they settle."""

    changes: tuple[Change, ...]
    settled: tuple[Change, ...]
    exchanges: tuple[str, ...]
    number: int


def carry_over(
    simulation: Simulation,
    waiting: Sequence[Change],
    owner: str,
    number: int | None,
    exclusive: Collection[str],
) -> CarriedOver | None:
    """The way over for changes of the routing that cannot be made one by one.

    Args:
        simulation: at the moment from which the way begins.
        waiting: the changes.
        owner: the topology's name.
        number: tells these stand-ins from those of other plans; the first free one unless given.
        exclusive: queues of other connections: to bind one is answered with 405.

    None where an exchange concerned is of a type that is not understood well enough to copy, or
    passes messages to a queue that cannot be bound to the copy.
    """
    now, last = simulation.topology(), simulation.final()
    stuck = _sources(waiting, now, last)
    concerned = leading_to(stuck, now, last)
    every = {**_every(now), **_every(last)}
    if not concerned or any(every[it].type not in COPIED_TYPES for it in concerned):
        return None
    if number is None:
        taken = {it.number for name in now.exchanges if (it := read_name(name))}
        number = next(it for it in count(1) if it not in taken)
    standins = _Standins(now, last, concerned, owner, number)
    return None if standins.pass_to(exclusive) else standins.carried_over(waiting)


def catching_all(source: Exchange, destination: Exchange) -> Binding | None:
    """The binding that passes on all that comes to an exchange; a direct one has none such."""
    match source.type:
        case "topic":
            return Binding(source, destination, "#")
        case "fanout":
            return Binding(source, destination)
        case "headers":
            return Binding(source, destination, "", {"x-match": "all"})
        case _:
            return None


class _Standins:
    """The three copies of every exchange concerned, and the changes that they are there for."""

    def __init__(
        self, now: Topology, last: Topology, concerned: set[str], owner: str, number: int
    ) -> None:
        self._now, self._last, self._owner, self._number = now, last, owner, number
        self._concerned = concerned
        there, stay = _every(now), _every(last)
        self._switched = sorted(concerned & there.keys() & stay.keys())
        self._old = {it: self._copy("old", it, there) for it in sorted(concerned & there.keys())}
        self._new = {it: self._copy("new", it, stay) for it in sorted(concerned & stay.keys())}
        self._switches = {
            it: Exchange(
                self._name("switch", it),
                "fanout",
                arguments={ALTERNATE_EXCHANGE: self._old[it].name},
            )
            for it in self._switched
        }
        self._from_now, self._from_last = _by_source(now), _by_source(last)
        self._whole = self._copied_whole()

    def pass_to(self, queues: Collection[str]) -> bool:
        """Whether a copy is bound to one of some queues."""
        copied = (it for name in self._old for it in self._copied(name, self._from_now))
        return any(
            isinstance(it.destination, Queue) and it.destination.name in queues for it in copied
        )

    def carried_over(self, waiting: Sequence[Change]) -> CarriedOver:
        copies = [*self._old.values(), *self._new.values(), *self._switches.values()]
        policies = [it for it in waiting if isinstance(it, (kinds.SetPolicy, kinds.RemovePolicy))]
        fill = [*self._filled(self._old, self._from_now), *self._filled(self._new, self._from_last)]
        entries = [it for name in self._switched for it in self._entries(name)]
        going = [it for name in self._switched for it in self._own(name, self._from_now)]
        coming = [it for name in self._switched for it in self._own(name, self._from_last)]
        changes: list[Change] = [
            *(kinds.Own(self._owner, "exchange", it.name) for it in copies),
            *(kinds.DeclareExchange(it) for it in copies),
            *(kinds.Bind(it) for it in fill),
            *(kinds.Bind(it) for it in entries),
            *(kinds.Unbind(it) for it in going),
            *(kinds.Bind(Binding(self._switches[it], self._new[it])) for it in self._switched),
            *policies,
            *(kinds.Bind(it) for it in coming),
            *(kinds.Unbind(it) for it in entries),
            *(kinds.RemoveExchange(it, with_bindings=True) for it in reversed(copies)),
            *(kinds.Disown(self._owner, "exchange", it.name) for it in copies),
        ]
        settled = [it for it in waiting if self._settles(it)]
        return CarriedOver(tuple(changes), tuple(settled), tuple(self._switched), self._number)

    def _settles(self, change: Change) -> bool:
        if isinstance(change, (kinds.Bind, kinds.Unbind)):
            return change.binding.source.name in self._switches
        return isinstance(change, (kinds.SetPolicy, kinds.RemovePolicy))

    def _copied_whole(self) -> set[str]:
        """The exchanges whose copies need all bindings, as all keys may come to them.

        That is where another copy leads, and where the alternate exchange changes.
        """
        found: set[str] = set()
        for topology, outgoing in ((self._now, self._from_now), (self._last, self._from_last)):
            for name in self._concerned & _every(topology).keys():
                found.add(_every(topology)[name].alternate_exchange or "")
                ends = (it.destination for it in outgoing[name])
                found |= {it.name for it in ends if isinstance(it, Exchange)}
        only_on_one_side = self._old.keys() ^ self._new.keys()
        was, is_ = _every(self._now), _every(self._last)
        falling_elsewhere = {
            name
            for name in self._switched
            if was[name].alternate_exchange != is_[name].alternate_exchange
        }
        return (found | only_on_one_side | falling_elsewhere) & self._concerned

    def _own(self, name: str, outgoing: Mapping[str, list[Binding]]) -> list[Binding]:
        """The bindings of an exchange that are taken away, or made, while the copies stand in."""
        both = {it.identity for it in self._from_now[name]} & {
            it.identity for it in self._from_last[name]
        }
        return [
            it
            for it in outgoing[name]
            if it.identity not in both
            or (isinstance(it.destination, Exchange) and it.destination.name in self._concerned)
        ]

    def _copied(self, name: str, outgoing: Mapping[str, list[Binding]]) -> list[Binding]:
        """The bindings that the copies of an exchange need.

        An alternate exchange looks at whether anything matched, so that beside the bindings that
        change all those count that match some of the same keys.
        """
        own = self._own(name, outgoing)
        if name not in self._whole and _every(self._now)[name].alternate_exchange is None:
            return own
        entering = None if name in self._whole else self._entering(name)
        if entering is None:
            return outgoing[name]
        apart = {it.identity for it in own}
        return [
            it
            for it in outgoing[name]
            if it.identity in apart
            or ((pattern := pattern_of(it, None)) and any(intersects(pattern, e) for e in entering))
        ]

    def _entering(self, name: str) -> list[Pattern] | None:
        """What the keys match that come to the copies; None where headers count too."""
        if _every(self._now)[name].routes_as == "headers":
            return None
        changing = (*self._own(name, self._from_now), *self._own(name, self._from_last))
        patterns = {pattern_of(it, None) for it in changing}
        return [it for it in patterns if it is not None]

    def _filled(
        self, copies: Mapping[str, Exchange], outgoing: Mapping[str, list[Binding]]
    ) -> Iterator[Binding]:
        """The bindings of copies, queues first, for those lead somewhere at once."""
        found = [
            Binding(copy, self._end(it, copies), it.key, it.arguments)
            for name, copy in copies.items()
            for it in self._copied(name, outgoing)
        ]
        yield from sorted(found, key=lambda it: isinstance(it.destination, Exchange))

    def _end(self, binding: Binding, copies: Mapping[str, Exchange]) -> Any:
        end = binding.destination
        return copies.get(end.name, end) if isinstance(end, Exchange) else end

    def _entries(self, name: str) -> Iterator[Binding]:
        """The bindings that let into a switch all that the copies know of."""
        exchange, switch = _every(self._now)[name], self._switches[name]
        whole = name in self._whole
        everything = catching_all(exchange, switch) if whole else None
        if everything is not None:
            yield everything
        else:
            changing = (*self._own(name, self._from_now), *self._own(name, self._from_last))
            entries = (Binding(exchange, switch, it.key, it.arguments) for it in changing)
            yield from {it.identity: it for it in entries}.values()

    def _copy(self, role: str, name: str, of: Mapping[str, Exchange]) -> Exchange:
        exchange = of[name]
        alternate = exchange.alternate_exchange
        if alternate in self._concerned:
            alternate = self._name(role, alternate)
        arguments = {} if alternate is None else {ALTERNATE_EXCHANGE: alternate}
        return Exchange(self._name(role, name), exchange.type, arguments=arguments)

    def _name(self, role: str, exchange: str) -> str:
        return copy_name(self._number, role, exchange)


def _every(topology: Topology) -> dict[str, Exchange]:
    return {it.name: it for it in topology.every_exchange() if it.name}


def _by_source(topology: Topology) -> defaultdict[str, list[Binding]]:
    found: defaultdict[str, list[Binding]] = defaultdict(list)
    for it in topology.bindings:
        found[it.source.name].append(it)
    return found


def _sources(waiting: Iterable[Change], now: Topology, last: Topology) -> set[str]:
    """The exchanges whose routing the changes are about."""
    found: set[str] = set()
    for change in waiting:
        if isinstance(change, (kinds.Bind, kinds.Unbind)):
            found.add(change.binding.source.name)
        elif isinstance(change, (kinds.SetPolicy, kinds.RemovePolicy)):
            was, is_ = _every(now), _every(last)
            found |= {
                name
                for name in was.keys() & is_.keys()
                if was[name].alternate_exchange != is_[name].alternate_exchange
            }
    return found


def leading_to(wanted: set[str], *topologies: Topology) -> set[str]:
    """The exchanges from which a message may come to some exchanges, and these themselves.

    What messages pass while they are delayed is left out: all of them come to the last stop.
    """
    leading: defaultdict[str, set[str]] = defaultdict(set)
    known: set[str] = set()
    delays = {it for topology in topologies for it in prefixes(topology)}
    for topology in topologies:
        known |= _every(topology).keys()
        for it in topology.bindings:
            is_delayed = any(is_on_the_ladder(it.source.name, begins) for begins in delays)
            if isinstance(it.destination, Exchange) and not is_delayed:
                leading[it.destination.name].add(it.source.name)
        for exchange in topology.every_exchange():
            if exchange.alternate_exchange:
                leading[exchange.alternate_exchange].add(exchange.name)
    return known.intersection(reachable(wanted, leading.__getitem__))
