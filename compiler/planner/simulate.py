"""Every moment of a plan, by the routing core: which keys a step would lose or double, if any.

All keys of an exchange for which something changes are sorted into classes that no moment of the
plan tells apart, once, over all the bindings that there ever are. A step then concerns just the
classes that match its binding, so that the check is exact, and costs by what changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from routewright.compiler.analysis.compare import Difference
from routewright.compiler.keys.header_sets import Undecidable, all_headers
from routewright.compiler.keys.key_classes import EVERY_KEY, key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, words
from routewright.compiler.lowering.delay_names import belongs, is_last_stop, prefixes
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.plan.changes import (
    Bind,
    Change,
    DeclareExchange,
    RemoveExchange,
    RemovePolicy,
    RemoveQueue,
    SetPolicy,
    Unbind,
)
from routewright.compiler.plan.violation import Violation, harm
from routewright.compiler.planner.simulated_host import Identity, SimulatedHost, rebound
from routewright.compiler.routing.delivery import Outcome, Reach
from routewright.compiler.routing.matching import pattern_of
from routewright.compiler.routing.routing import Routing

_Policies = (SetPolicy, RemovePolicy)
_MANY_PATTERNS = 100  # so many times walking some of the keys takes as long as walking all


@dataclass(slots=True)
class _Class:
    """Keys that no moment of a plan tells apart."""

    exchange: str
    witness: str
    headers: Mapping[str, Any]
    matched: frozenset[Identity]
    before: Reach
    after: Reach


class Simulation:
    """A walk through the states between two topologies, by changes that are all known beforehand.

    Looked at are the exchanges that are there before and after, and get messages: from publishers,
    or an internal one as dead letters.
    """

    def __init__(self, before: Topology, changes: Sequence[Change]) -> None:
        self._state = SimulatedHost(before)
        self._known = {it.identity: it for it in before.bindings}
        self._known |= {it.binding.identity: it.binding for it in changes if isinstance(it, Bind)}
        after = SimulatedHost(before)
        alternates: defaultdict[str, set[str]] = defaultdict(set)
        _note_alternates(after, alternates)
        changed = {*_changed_sources(changes, before)}
        self._moving, self._rebuilt = _moving(changes, self._known), _rebuilt(changes, before)
        self._there = {it.name for it in before.every_exchange()}
        for change in changes:
            earlier = _alternates(after) if isinstance(change, _Policies) else {}
            after.take(change)
            if isinstance(change, DeclareExchange):
                _note_alternates(after, alternates, [change.exchange.name])
            elif isinstance(change, _Policies):
                _note_alternates(after, alternates)
                falling = {name for name, _ in _alternates(after).items() ^ earlier.items()}
                changed |= falling
                self._rebuilt |= falling
        self._alternates = alternates
        self._after = after
        self.undecided: list[str] = []
        self.classes: list[_Class] = []
        self._by_binding: defaultdict[Identity, list[int]] = defaultdict(list)
        self._outdated = False
        self._following: defaultdict[str, set[str]] = defaultdict(set)
        for it in self._known.values():
            if isinstance(it.destination, Exchange):
                self._following[it.source.name].add(it.destination.name)
        concerned = {
            name: cone
            for name in self._entries(before, after)
            if not changed.isdisjoint(cone := self._cone(name))
        }
        if not concerned:  # nothing of it is asked: it is a large part of the work
            return
        self._routing, self._rebound = self._epoch(self._state)
        last_routing, last_rebound = self._epoch(after)
        begin = {*prefixes(before), *prefixes(after.topology())}
        for exchange, cone in concerned.items():
            delays = next((it for it in begin if belongs(exchange, it)), None)
            if delays is not None and not is_last_stop(exchange, delays):
                if exchange in changed:  # its keys are too many to walk
                    self.undecided = sorted({*self.undecided, f"{delays}.*"})
                continue  # otherwise all that comes there gets to the last stop, and passes that
            try:
                found = [*self._classes_of(exchange, cone, last_routing, last_rebound)]
            except (Undecided, Undecidable):
                self.undecided.append(exchange)
                continue
            for each in found:
                for identity in each.matched:
                    self._by_binding[identity].append(len(self.classes))
                self.classes.append(each)

    def lossy(self) -> frozenset[Identity]:
        """The bindings through which keys are delivered before that nothing delivers after."""
        lost = (it for it in self.classes if () in it.after and () not in it.before)
        return frozenset(identity for it in lost for identity in it.matched)

    def falling(self) -> str | None:
        """A key that is delivered before and not after, though each of its bindings stays."""
        for it in self.classes:
            gone = (it.matched & self._state.bindings.keys()) - self._after.bindings.keys()
            if () in it.after and () not in it.before and not gone:
                return it.witness
        return None

    def is_lossy(self, binding: Binding) -> bool:
        """Whether nothing that comes through a binding is delivered in the end."""
        if binding.source.name in self.undecided:
            return False
        through = (self.classes[it] for it in self._by_binding.get(binding.identity, ()))
        return all(() in it.after for it in through)

    def differences(self) -> Iterator[Difference]:
        """The keys that go elsewhere in the end, the smallest of each kind."""
        seen: set[tuple[str, Reach, Reach]] = set()
        for it in self.classes:
            at = (it.exchange, it.before, it.after)
            if it.before != it.after and at not in seen:
                seen.add(at)
                yield Difference(it.exchange, it.witness, it.before, it.after, it.headers)

    def trouble(self, change: Change) -> Violation | None:
        """The first key that would go wrong right after a change."""
        return next(self.troubles(change), None)

    def troubles(self, change: Change) -> Iterator[Violation]:
        """The keys that would go wrong right after a change; it is not taken."""
        match change:
            case Bind(binding):
                gone, come = frozenset[Identity](), frozenset({binding.identity})
            case Unbind(binding):
                gone, come = frozenset({binding.identity}), frozenset[Identity]()
            case RemoveQueue(end) | RemoveExchange(end):
                gone, come = frozenset(self._state.bound_to(end)), frozenset[Identity]()
            case SetPolicy() | RemovePolicy():
                yield from self._troubles_of_policy(change)
                return
            case _:
                return
        concerned = {at for it in (*gone, *come) for at in self._by_binding.get(it, ())}
        for at in sorted(concerned):
            yield from self._judge(self.classes[at], *self._now(), gone, come)

    def take(self, change: Change) -> None:
        """Go on to the state after a change."""
        self._state.take(change)
        if isinstance(
            change, (DeclareExchange, RemoveExchange, RemoveQueue, SetPolicy, RemovePolicy)
        ):
            if isinstance(change, DeclareExchange) and self._is_plain(change.exchange.name):
                return  # whatever leads there has still to be bound
            self._outdated = True

    def _now(self) -> tuple[Routing, Mapping[Identity, Binding]]:
        """The routing core of the state it has come to, made when it is asked."""
        if self._outdated:
            self._routing, self._rebound = self._epoch(self._state)
            self._outdated = False
        return self._routing, self._rebound

    def topology(self) -> Topology:
        """The state it has come to."""
        return self._state.topology()

    def final(self) -> Topology:
        """The state after all changes."""
        return self._after.topology()

    def _troubles_of_policy(self, change: Change) -> Iterator[Violation]:
        if not self.classes:
            return
        other = SimulatedHost(self._state.topology())
        other.take(change)
        if _alternates(other) != _alternates(self._state):
            epoch = self._epoch(other)
            for each in self.classes:
                yield from self._judge(each, *epoch)

    def _judge(
        self,
        of: _Class,
        routing: Routing,
        rebound_to: Mapping[Identity, Binding],
        gone: frozenset[Identity] = frozenset(),
        come: frozenset[Identity] = frozenset(),
    ) -> Iterator[Violation]:
        present = [
            it for it in of.matched if (it in self._state.bindings or it in come) and it not in gone
        ]
        try:
            meanwhile = _reach(routing, of.exchange, present, rebound_to)
        except Undecidable:  # by an exchange of a type that nothing is known of
            self.undecided = sorted({*self.undecided, of.exchange})
            return
        wrong = harm(of.before, meanwhile, of.after)
        if wrong:
            yield Violation(
                wrong, of.exchange, of.witness, of.before, meanwhile, of.after, of.headers
            )

    def _epoch(self, state: SimulatedHost) -> tuple[Routing, Mapping[Identity, Binding]]:
        """The routing core, with all exchanges as they are in a state and all known bindings."""
        topology = replace(
            state.topology(),
            exchanges={**self._ever_exchanges(), **state.exchanges},
            queues={**self._ever_queues(), **state.queues},
        )
        there = {
            identity: bound
            for identity, it in self._known.items()
            if (bound := rebound(it, topology)) is not None
        }
        existing = replace(topology, exchanges=dict(state.exchanges))
        return Routing(replace(existing, bindings=tuple(there.values()))), there

    def _is_plain(self, exchange: str) -> bool:
        """Whether an exchange neither is the alternate of one nor has one."""
        behind = (exchange in names for names in self._alternates.values())
        return not self._alternates.get(exchange) and not any(behind)

    def _ever_exchanges(self) -> dict[str, Exchange]:
        ends = (end for it in self._known.values() for end in (it.source, it.destination))
        predeclared = self._state.predeclared
        return {
            it.name: it for it in ends if isinstance(it, Exchange) and it.name not in predeclared
        }

    def _ever_queues(self) -> dict[str, Queue]:
        ends = (it.destination for it in self._known.values())
        return {it.name: it for it in ends if isinstance(it, Queue)}

    def _entries(self, before: Topology, after: SimulatedHost) -> Iterator[str]:
        queues = (*before.queues.values(), *after.queues.values())
        behind_queues = {it.dead_letter_exchange for it in queues}
        for name, exchange in sorted({**before.predeclared, **before.exchanges}.items()):
            stays = name in after.exchanges or name in after.predeclared
            if name and stays and (not exchange.internal or name in behind_queues):
                yield name

    def _cone(self, exchange: str) -> set[str]:
        """The exchanges that a message may come to at any moment."""
        waiting, seen = [exchange], {exchange}
        while waiting:
            name = waiting.pop()
            for each in (*self._following.get(name, ()), *self._alternates.get(name, ())):
                if each not in seen:
                    seen.add(each)
                    waiting.append(each)
        return seen

    def _classes_of(
        self,
        exchange: str,
        cone: set[str],
        last: Routing,
        last_rebound: Mapping[Identity, Binding],
    ) -> Iterator[_Class]:
        known = [it for it in self._known.values() if it.source.name in cone]
        by_headers = (it.arguments for it in known if it.source.routes_as == "headers")
        # A message comes to an exchange that is new only by a binding of one that was there.
        moving = [
            it for it in known if it.identity in self._moving and it.source.name in self._there
        ]
        whole = not cone.isdisjoint(self._rebuilt)
        seen: set[frozenset[Identity]] = set()
        for headers in all_headers(by_headers):
            found = {each for it in moving if (each := pattern_of(it, headers)) is not None}
            within = {EVERY_KEY} if whole or len(found) > _MANY_PATTERNS else found
            table: PatternTable[Identity] = PatternTable()
            for it in known:
                pattern = pattern_of(it, headers)
                if pattern is not None:
                    table.add(pattern, it.identity)
            for matched, witness in _classes(table, within):
                if matched in seen:  # by other headers, and so routed as they are
                    continue
                seen.add(matched)
                first = [it for it in matched if it in self._state.bindings]
                end = [it for it in matched if it in self._after.bindings]
                yield _Class(
                    exchange,
                    witness,
                    headers,
                    matched,
                    _reach(self._routing, exchange, first, self._rebound),
                    _reach(last, exchange, end, last_rebound),
                )


def _classes(
    table: PatternTable[Identity], within: Iterable[Pattern]
) -> Iterator[tuple[frozenset[Identity], str]]:
    """What the keys match that match one of some patterns, and the smallest of such keys."""
    found: dict[frozenset[Identity], str] = {}
    for pattern in within:
        for it in key_classes(table, [pattern]):
            found.setdefault(frozenset(it.values), it.witness)
    yield from sorted(found.items(), key=lambda it: (len(words(it[1])), len(it[1]), it[1]))


def _moving(changes: Iterable[Change], known: Mapping[Identity, Binding]) -> set[Identity]:
    """The bindings that are there at some moments and not at others."""
    found: set[Identity] = set()
    removed: set[tuple[type, str]] = set()
    for change in changes:
        match change:
            case Bind(binding) | Unbind(binding):
                found.add(binding.identity)
            case RemoveQueue(Queue(name)):
                removed.add((Queue, name))
            case RemoveExchange(Exchange(name)):
                removed.add((Exchange, name))
            case _:
                pass
    if removed:
        found |= {
            identity
            for identity, it in known.items()
            if (type(it.destination), it.destination.name) in removed
        }
    return found


def _rebuilt(changes: Iterable[Change], before: Topology) -> set[str]:
    """The exchanges that come or go where something is there already that leads to them."""
    every = {it.name: it for it in before.every_exchange()}
    led_to = every.keys() | {it.alternate_exchange for it in every.values()}
    return {
        it.exchange.name
        for it in changes
        if isinstance(it, (DeclareExchange, RemoveExchange)) and it.exchange.name in led_to
    }


def _reach(
    routing: Routing,
    exchange: str,
    present: Iterable[Identity],
    rebound_to: Mapping[Identity, Binding],
) -> Reach:
    delivery = routing.deliver(exchange, [rebound_to[it] for it in present if it in rebound_to])
    if delivery.outcome is Outcome.UNDECIDED:
        raise Undecidable(exchange)
    return delivery.reach


def _alternates(state: SimulatedHost) -> dict[str, str | None]:
    every = {**state.predeclared, **state.exchanges}
    return {name: it.alternate_exchange for name, it in every.items()}


def _note_alternates(
    state: SimulatedHost, alternates: defaultdict[str, set[str]], names: Iterable[str] | None = None
) -> None:
    """Add the alternate exchanges of a state, or of some of its exchanges."""
    every = {**state.predeclared, **state.exchanges}
    for name in every if names is None else names:
        alternate = every[name].alternate_exchange
        if alternate:
            alternates[name].add(alternate)


def _changed_sources(changes: Iterable[Change], before: Topology) -> Iterator[str]:
    """The exchanges out of which some message may go otherwise; policies apart."""
    removed: set[tuple[type, str]] = set()
    for change in changes:
        match change:
            case Bind(binding) | Unbind(binding):
                yield binding.source.name
            case DeclareExchange(exchange):
                yield exchange.name
            case RemoveExchange(exchange):
                yield exchange.name
                removed.add((Exchange, exchange.name))
            case RemoveQueue(queue):
                removed.add((Queue, queue.name))
            case _:
                pass
    if removed:
        for it in before.bindings:
            if (type(it.destination), it.destination.name) in removed:
                yield it.source.name
