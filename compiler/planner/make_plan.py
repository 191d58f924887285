"""Makes the plan by which a virtual host comes to match a topology. Pure: nothing is read here.

These types flow from what is there to a changed broker, each made from the one before:

    VirtualHost + Topology   what is there, and what shall be there
      -> Differences         changes in no order, and what stands in the way       (differences.py)
      -> Ordered             changes in an order in which no key goes wrong        (order.py)
      -> Plan                steps with reasons, and the fingerprint of what was seen
      -> Deployed            steps carried out, and the broker looked at again     (executor)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.approvals import Code
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.fingerprint import concerns_of, fingerprint
from routewright.compiler.plan.plan import Plan, Step
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.differences import Differences, differences
from routewright.compiler.planner.needed_approvals import NeededApprovals, lowered, to_replace
from routewright.compiler.planner.order import Ordered, order, violating
from routewright.compiler.planner.reasons import Describer, notes
from routewright.compiler.planner.replace_exchange import interrupted, replace_exchange
from routewright.compiler.planner.replace_queue import emptied, meanwhile, with_moves
from routewright.compiler.planner.replacing import obstacle
from routewright.compiler.planner.resume import gone_on_with, unfinished
from routewright.compiler.planner.simulated_host import after


def make_plan(
    wanted: Topology,
    host: VirtualHost,
    *,
    adopt: bool = False,
    allowed: Collection[Code] | None = None,
) -> Plan:
    """Plans the way from a virtual host as it is to a topology.

    Args:
        wanted: what shall be there, its delays lowered to plain objects.
        host: what is there.
        adopt: take over what is there under a declared name.
        allowed: leave out the steps that need other approvals; None leaves out none.
    """
    planner = _Planner(wanted, adopt, allowed)
    found = differences(wanted, host, adopt=adopt)
    replaced, kept = planner.replacements(found, host)
    stretches = [*planner.exchanges_replaced(replaced, host)]
    stretches += planner.the_rest(replaced, stretches[-1].end if stretches else host)
    if kept:
        stretches.append(_Stretch(host, Ordered(tuple(kept)), NeededApprovals(host, wanted, ())))
    steps, held = _described(stretches, host, wanted)
    ordered = [it.ordered for it in stretches]
    concerns = concerns_of(wanted, host)
    return Plan(
        topology=wanted.name,
        vhost=host.topology.vhost or "/",
        fingerprint=fingerprint(host, wanted.name, concerns),
        concerns=concerns,
        steps=steps,
        held=held,
        differences=tuple(difference for it in ordered for difference in it.differences),
        violations=tuple(violation for it in ordered for violation in violating(it)),
        undecided=tuple({name: None for it in ordered for name in it.undecided}),
        carried_over=tuple({name: None for it in ordered for name in it.carried_over}),
        conflicts=found.conflicts,
        foreign=found.foreign,
        in_use=found.in_use,
        notes=tuple(notes(found, host, ordered, replaced)),
        blind=host.blind,
    )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A part of a plan: the host that it begins with, its changes, and those left out for a code.

    `next_host` is what the next part begins with, where that is known already.
    """

    host: VirtualHost
    ordered: Ordered
    approvals: NeededApprovals
    held: tuple[tuple[Change, Code], ...] = ()
    next_host: VirtualHost | None = None

    @property
    def end(self) -> VirtualHost:
        return self.next_host or self.host


def _described(
    stretches: Iterable[_Stretch], first: VirtualHost, wanted: Topology
) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
    """Gives every change its reason; returns the steps of a plan, and those that are left out."""
    steps: list[Step] = []
    held: dict[tuple[str, Code | None], Step] = {}
    for it in stretches:
        describer = Describer(it.host, first, wanted, it.approvals)
        steps += [describer.step(change) for change in it.ordered.changes]
        for change, code in it.held:
            held[str(change), code] = replace(describer.step(change), code=code)
    return tuple(steps), tuple(held.values())


@dataclass(frozen=True, slots=True)
class _Planner:
    """Plans for a topology, part by part."""

    wanted: Topology
    adopt: bool
    allowed: Collection[Code] | None

    def replacements(
        self, found: Differences, host: VirtualHost
    ) -> tuple[list[kinds.Replace], list[kinds.Replace]]:
        """Returns the things to be replaced, and those that cannot be."""
        replacing = [it for it in found.changes if isinstance(it, kinds.Replace)]
        kept = [it for it in replacing if obstacle(it, host, self.wanted) is not None]
        replaced = [
            it
            for it in replacing
            if it not in kept and all(map(self._is_allowed, to_replace(it, host, self.wanted)))
        ]
        return replaced, kept

    def exchanges_replaced(
        self, replaced: Iterable[kinds.Replace], host: VirtualHost
    ) -> Iterator[_Stretch]:
        """Re-creates exchanges, one after the other."""
        new = {it.new.name for it in replaced if isinstance(it.new, Exchange)}
        for name in sorted(interrupted(host, self.wanted) | new):
            done = replace_exchange(name, self.wanted, host)
            if done is not None:
                approvals = NeededApprovals(host, self.wanted, ())
                yield _Stretch(host, done.ordered, approvals, next_host=done.host)
                host = done.host

    def the_rest(self, replaced: Iterable[kinds.Replace], host: VirtualHost) -> Iterator[_Stretch]:
        """Makes all other changes.

        They are in two parts where queues are replaced, which are emptied and removed in between.
        """
        queues = [it for it in replaced if isinstance(it.new, Queue)]
        if not queues:
            yield self._stretch(self.wanted, host)
            return
        lower = {it.old.name for it in queues if lowered(it, host, self.wanted)}
        first = self._stretch(meanwhile(self.wanted, queues, host), host, lower)
        changes = (*first.ordered.changes, *emptied(queues, host, self.wanted))
        yield replace(first, ordered=replace(first.ordered, changes=changes))
        yield self._stretch(self.wanted, after(host, changes, self.wanted.name))

    def _stretch(
        self, wanted: Topology, host: VirtualHost, lower: Collection[str] = ()
    ) -> _Stretch:
        """Plans all changes between two states; goes on with what an earlier apply has begun.

        Args:
            wanted: the second state.
            host: the first one.
            lower: the queues that are replaced with a lower limit.
        """
        for left in unfinished(host, wanted.name):
            part = self._from_the_beginning(wanted, left.picture, lower, left.number)
            ordered = gone_on_with(part.ordered, left, host, wanted.name)
            if ordered is not None:
                return replace(part, host=host, ordered=ordered)
        return self._from_the_beginning(wanted, host, lower)

    def _from_the_beginning(
        self, wanted: Topology, host: VirtualHost, lower: Collection[str], number: int | None = None
    ) -> _Stretch:
        found = differences(wanted, host, adopt=self.adopt)
        changes = [it for it in found.changes if not _is_kept(it, host, wanted)]
        approvals = NeededApprovals(host, wanted, changes, lower)
        held: list[tuple[Change, Code]] = [
            (change, code)
            for change in changes
            for code in approvals.all_of(change)
            if not self._is_allowed(code)
        ]
        changes = _without(changes, [change for change, _ in held])
        changes = [*with_moves(changes, host, wanted)]
        ordered = order(host.topology, changes, wanted.name, number, host.exclusive)
        return _Stretch(host, ordered, approvals, tuple(held))

    def _is_allowed(self, code: Code) -> bool:
        return self.allowed is None or code in self.allowed


def _is_kept(change: Change, host: VirtualHost, wanted: Topology) -> bool:
    return isinstance(change, kinds.Replace) and obstacle(change, host, wanted) is not None


def _without(changes: Iterable[Change], refused: Sequence[Change]) -> list[Change]:
    """Leaves out some changes, and those that would disown what stays."""
    out = {id(it) for it in refused}
    stay = {name for it in refused if (name := _removed(it))}
    return [
        it
        for it in changes
        if id(it) not in out and not (isinstance(it, kinds.Disown) and (it.kind, it.name) in stay)
    ]


def _removed(change: Change) -> tuple[str, str] | None:
    """Returns the kind and name of what a change removes, if it removes a thing."""
    match change:
        case kinds.RemoveQueue(queue):
            return "queue", queue.name
        case kinds.RemoveExchange(exchange):
            return "exchange", exchange.name
        case kinds.RemovePolicy(policy):
            return "policy", policy.name
        case _:
            return None
