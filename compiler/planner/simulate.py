"""Every moment of a plan, by the routing core: which keys a step would lose or double, if any.

All keys of an exchange for which something changes are sorted into classes that no moment of the
plan tells apart, once, over all the bindings that there ever are. A step then concerns just the
classes that match its binding, so that the check is exact, and costs by what changes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from routewright.compiler.analysis.compare import Difference
from routewright.compiler.keys.header_sets import Undecidable, all_headers
from routewright.compiler.keys.key_classes import EVERY_KEY, key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, words
from routewright.compiler.lowering.delay_names import belongs, is_last_stop, prefixes
from routewright.compiler.model.topology import Binding, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.violation import Violation, harm
from routewright.compiler.planner.course import Course, alternates
from routewright.compiler.planner.simulated_host import Identity, SimulatedHost, rebound
from routewright.compiler.routing.delivery import Outcome, Reach
from routewright.compiler.routing.matching import pattern_of
from routewright.compiler.routing.routing import Routing

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


@dataclass(frozen=True, slots=True)
class _Epoch:
    """The routing between two changes of exchanges, for any of the bindings that there ever are."""

    routing: Routing
    bindings: Mapping[Identity, Binding]  # with the ends that are there

    def reach(self, exchange: str, matched: Iterable[Identity]) -> Reach:
        """Routes a message that matches some bindings.

        Raises:
            Undecidable: it comes to an exchange of a type that nothing is known of.
        """
        bindings = [self.bindings[it] for it in matched if it in self.bindings]
        delivery = self.routing.deliver(exchange, bindings)
        if delivery.outcome is Outcome.UNDECIDED:
            raise Undecidable(exchange)
        return delivery.reach


class Simulation:
    """A walk through the states between two topologies, by changes that are all known beforehand.

    Looked at are the exchanges that are there before and after, and get messages: from publishers,
    or an internal one as dead letters.
    """

    def __init__(self, before: Topology, changes: Sequence[Change]) -> None:
        self._state = SimulatedHost(before)
        self._course = Course(before, changes)
        self.undecided: list[str] = []
        self.classes: list[_Class] = []
        self._by_binding: defaultdict[Identity, list[int]] = defaultdict(list)
        self._outdated = False
        concerned = self._course.concerned()
        if concerned:  # to sort keys is most of the work
            self._epoch = self._epoch_of(self._state)
            self._sort_keys(concerned, {*prefixes(before), *prefixes(self.final())})

    def _sort_keys(self, concerned: Mapping[str, set[str]], delays: Collection[str]) -> None:
        """Sorts the keys of exchanges into classes.

        Args:
            concerned: the exchanges, with all that a message may come to from each.
            delays: the prefixes of what messages pass while they are delayed.
        """
        last = self._epoch_of(self._course.after)
        for exchange, cone in concerned.items():
            ladder = next((it for it in delays if belongs(exchange, it)), None)
            if ladder is not None and not is_last_stop(exchange, ladder):
                if exchange in self._course.changed:  # its keys are too many to walk
                    self.undecided = sorted({*self.undecided, f"{ladder}.*"})
                continue  # otherwise all that comes there gets to the last stop, and passes that
            try:
                found = [*self._classes_of(exchange, cone, last)]
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
            gone = (it.matched & self._state.bindings.keys()) - self._course.after.bindings.keys()
            if () in it.after and () not in it.before and not gone:
                return it.witness
        return None

    def is_lossy(self, binding: Binding) -> bool:
        """Returns True if nothing that comes through a binding is delivered in the end."""
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
            case kinds.Bind(binding):
                gone, come = frozenset[Identity](), frozenset({binding.identity})
            case kinds.Unbind(binding):
                gone, come = frozenset({binding.identity}), frozenset[Identity]()
            case kinds.RemoveQueue(end) | kinds.RemoveExchange(end):
                gone, come = frozenset(self._state.bound_to(end)), frozenset[Identity]()
            case kinds.SetPolicy() | kinds.RemovePolicy():
                yield from self._troubles_of_policy(change)
                return
            case _:
                return
        concerned = {at for it in (*gone, *come) for at in self._by_binding.get(it, ())}
        for at in sorted(concerned):
            yield from self._judge(self.classes[at], self._now(), gone, come)

    def take(self, change: Change) -> None:
        """Go on to the state after a change."""
        self._state.take(change)
        if isinstance(
            change,
            (
                kinds.DeclareExchange,
                kinds.RemoveExchange,
                kinds.RemoveQueue,
                kinds.SetPolicy,
                kinds.RemovePolicy,
            ),
        ):
            if isinstance(change, kinds.DeclareExchange) and self._course.is_plain(
                change.exchange.name
            ):
                return  # whatever leads there has still to be bound
            self._outdated = True

    def _now(self) -> _Epoch:
        """Returns the routing of the state it has come to, made when it is asked."""
        if self._outdated:
            self._epoch = self._epoch_of(self._state)
            self._outdated = False
        return self._epoch

    def topology(self) -> Topology:
        """The state it has come to."""
        return self._state.topology()

    def final(self) -> Topology:
        """The state after all changes."""
        return self._course.after.topology()

    def _troubles_of_policy(self, change: Change) -> Iterator[Violation]:
        if not self.classes:
            return
        other = SimulatedHost(self._state.topology())
        other.take(change)
        if alternates(other) != alternates(self._state):
            epoch = self._epoch_of(other)
            for each in self.classes:
                yield from self._judge(each, epoch)

    def _judge(
        self,
        of: _Class,
        epoch: _Epoch,
        gone: frozenset[Identity] = frozenset(),
        come: frozenset[Identity] = frozenset(),
    ) -> Iterator[Violation]:
        present = [
            it for it in of.matched if (it in self._state.bindings or it in come) and it not in gone
        ]
        try:
            meanwhile = epoch.reach(of.exchange, present)
        except Undecidable:  # by an exchange of a type that nothing is known of
            self.undecided = sorted({*self.undecided, of.exchange})
            return
        wrong = harm(of.before, meanwhile, of.after)
        if wrong:
            yield Violation(
                wrong, of.exchange, of.witness, of.before, meanwhile, of.after, of.headers
            )

    def _epoch_of(self, state: SimulatedHost) -> _Epoch:
        """Makes the routing core, with all exchanges as they are in a state."""
        topology = replace(
            state.topology(),
            exchanges={**self._course.exchanges(), **state.exchanges},
            queues={**self._course.queues(), **state.queues},
        )
        there = {
            identity: bound
            for identity, it in self._course.known.items()
            if (bound := rebound(it, topology)) is not None
        }
        existing = replace(topology, exchanges=dict(state.exchanges))
        return _Epoch(Routing(replace(existing, bindings=tuple(there.values()))), there)

    def _classes_of(self, exchange: str, cone: set[str], last: _Epoch) -> Iterator[_Class]:
        course = self._course
        known = [it for it in course.known.values() if it.source.name in cone]
        by_headers = (it.arguments for it in known if it.source.routes_as == "headers")
        # A message comes to an exchange that is new only by a binding of one that was there.
        moving = [
            it for it in known if it.identity in course.moving and it.source.name in course.there
        ]
        whole = not cone.isdisjoint(course.rebuilt)
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
                end = [it for it in matched if it in course.after.bindings]
                before, after = self._epoch.reach(exchange, first), last.reach(exchange, end)
                yield _Class(exchange, witness, headers, matched, before, after)


def _classes(
    table: PatternTable[Identity], within: Iterable[Pattern]
) -> Iterator[tuple[frozenset[Identity], str]]:
    """What the keys match that match one of some patterns, and the smallest of such keys."""
    found: dict[frozenset[Identity], str] = {}
    for pattern in within:
        for it in key_classes(table, [pattern]):
            found.setdefault(frozenset(it.values), it.witness)
    yield from sorted(found.items(), key=lambda it: (len(words(it[1])), len(it[1]), it[1]))
