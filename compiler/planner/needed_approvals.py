"""Finds the approvals (`--allow CODE`) that steps need, as each may take something away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from routewright.compiler.keys.header_sets import Undecidable
from routewright.compiler.keys.patterns import Undecided
from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Arguments, Exchange, Policy, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.approvals import CODES, Code
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.standin_names import is_stand_in
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.replace_queue import LIMITS, is_stand_in_queue
from routewright.compiler.planner.replacing import senders
from routewright.compiler.planner.simulate import Simulation
from routewright.compiler.planner.simulated_host import Identity, SimulatedHost
from routewright.compiler.routing.side_by_side import side_by_side


class NeededApprovals:
    """The approvals that the steps of one part of a plan need."""

    def __init__(
        self,
        host: VirtualHost,
        wanted: Topology,
        changes: Iterable[Change],
        lowered: Collection[str] = (),  # queues that are made anew with a lower limit
    ) -> None:
        changes = [*changes]
        self._host, self._wanted, self._lowered = host, wanted, lowered
        self._removed = {it.binding.identity for it in changes if isinstance(it, kinds.Unbind)}
        self._going = {it.exchange.name for it in changes if isinstance(it, kinds.RemoveExchange)}
        self._tightened = tightened(host.topology, changes)
        leading = {
            it.policy.name
            for it in changes
            if isinstance(it, kinds.SetPolicy) and self._leads_on(it.policy)
        }
        self._lossy, self.fallen = _lost(host.topology, changes, by_policies=bool(leading))
        self._leading = leading if self.fallen is not None else set()

    def all_of(self, change: Change) -> Sequence[Code]:
        """Returns the codes that a change needs; a replacement may need several."""
        if isinstance(change, kinds.Replace):
            return to_replace(change, self._host, self._wanted)
        code = self.of(change)
        return [code] if code else []

    def of(self, change: Change) -> Code | None:
        """The code that a change needs, if it needs one."""
        match change:
            case kinds.Unbind(binding):
                if binding.identity not in self._removed:  # it is bound again later
                    return None
                if self._goes_for_good(binding.source.name):  # and is not proved to keep its keys
                    return "remove-exchange"
                return "lose-keys" if binding.identity in self._lossy else None
            case kinds.RemoveQueue(queue):
                if is_stand_in_queue(queue.name):
                    return None
                return "replace-queue" if queue.name in self._wanted.queues else "remove-queue"
            case kinds.RemoveExchange(exchange):
                if is_stand_in(exchange.name):
                    return None
                declared = exchange.name in self._wanted.exchanges
                return "replace-exchange" if declared else "remove-exchange"
            case kinds.DeclareExchange(exchange):
                before = self._host.topology.exchanges.get(exchange.name)
                if before is not None and falls_no_more(before, self._host, self._wanted):
                    return "lose-keys"
                return self._of_new(before)
            case kinds.DeclareQueue(queue):
                return self._of_new(self._host.topology.queues.get(queue.name))
            case kinds.RemovePolicy(policy):
                if is_stand_in(policy.name):
                    return None
                return "drop-messages" if self.tightened_by(policy) else "remove-policy"
            case kinds.Replace(_, new):
                return "replace-queue" if isinstance(new, Queue) else "replace-exchange"
            case kinds.Move(queue):
                return "drop-messages" if queue.name in self._lowered else None
            case kinds.SetPolicy(policy):
                if self.tightened_by(policy):
                    return "drop-messages"
                if policy.name in self._leading:
                    return "lose-keys"
                return "remove-policy" if self._strips(policy) else None
            case kinds.Bind() | kinds.Own() | kinds.Disown() | kinds.Release():
                return None
            case _:
                assert_never(change)

    def tightened_by(self, policy: Policy) -> list[str]:
        """The queues that get a lower limit, where a policy has a part in it."""
        return sorted(name for name, by in self._tightened.items() if policy.name in by)

    def _leads_on(self, policy: Policy) -> bool:
        """Returns True if a policy gives an exchange another alternate, or takes it away."""
        before, after = self._around(policy)
        for it in self._host.topology.exchanges.values():
            was, is_ = (with_policy(replace(it, policy=None), each) for each in (before, after))
            if was.alternate_exchange not in (None, is_.alternate_exchange):
                return True
        return False

    def _around(self, policy: Policy) -> tuple[Collection[Policy], Collection[Policy]]:
        """The policies before one is set, and after."""
        there = self._host.topology.policies
        return there.values(), {**there, policy.name: policy}.values()

    def _strips(self, policy: Policy) -> bool:
        """Returns True if a queue that is no longer declared loses its dead letters by a policy."""
        there = self._host.topology
        before, after = self._around(policy)
        for name, it in there.queues.items():
            if name not in self._wanted.queues and not is_stand_in_queue(name):
                was, is_ = (with_policy(replace(it, policy=None), each) for each in (before, after))
                if was.dead_letter_exchange not in (None, is_.dead_letter_exchange):
                    return True
        return False

    def _goes_for_good(self, exchange: str) -> bool:
        is_ours = not is_stand_in(exchange)
        return is_ours and exchange in self._going and exchange not in self._wanted.exchanges

    def _of_new(self, before: Exchange | Queue | None) -> Code | None:
        """What making a thing anew takes, if one of its name was there before."""
        sent = before is not None and senders(before, self._host.topology, self._wanted)
        return "name-gap" if sent else None


def _lost(
    before: Topology, changes: Sequence[Change], *, by_policies: bool
) -> tuple[frozenset[Identity], str | None]:
    """Finds the keys that reach a queue before some changes, and none afterwards.

    Returns:
        The bindings that deliver such keys before; and, if `by_policies`, such a key whose
        bindings all stay, so that it is an alternate exchange that does not catch it any more.
    """
    removing = any(
        isinstance(it, (kinds.Unbind, kinds.RemoveQueue, kinds.RemoveExchange)) for it in changes
    )
    if not removing and not by_policies:
        return frozenset(), None
    simulation = Simulation(before, changes)
    return simulation.lossy(), simulation.falling() if by_policies else None


def to_replace(change: kinds.Replace, host: VirtualHost, wanted: Topology) -> Sequence[Code]:
    """Returns the codes that replacing an exchange or a queue needs."""
    codes: set[Code] = {"replace-queue" if isinstance(change.old, Queue) else "replace-exchange"}
    if senders(change.old, host.topology, wanted):
        codes.add("name-gap")
    if lowered(change, host, wanted):
        codes.add("drop-messages")
    if isinstance(change.old, Exchange) and falls_no_more(change.old, host, wanted):
        codes.add("lose-keys")
    return [code for code in CODES if code in codes]


def tightened(topology: Topology, changes: Iterable[Change]) -> Mapping[str, Collection[str]]:
    """Finds the queues that get a lower limit by policies in the end.

    Returns:
        The policies that do it, by the queue's name: the one that counts before and the one that
        counts afterwards.
    """
    set_or_removed = [it for it in changes if isinstance(it, (kinds.SetPolicy, kinds.RemovePolicy))]
    if not set_or_removed:
        return {}
    state = SimulatedHost(topology)
    for change in set_or_removed:
        state.take(change)
    found: dict[str, Collection[str]] = {}
    for name, queue in topology.queues.items():
        policies = (topology.policies.values(), state.policies.values())
        was, is_ = (with_policy(replace(queue, policy=None), each) for each in policies)
        if was.policy != is_.policy and _is_lower(was.effective, is_.effective):
            found[name] = {each.policy.name for each in (was, is_) if each.policy}
    return found


def falls_no_more(old: Exchange, host: VirtualHost, wanted: Topology) -> bool:
    """Whether an exchange is made anew without its alternate, and keys reach no queue then."""
    new = wanted.exchanges.get(old.name)
    if new is None or old.alternate_exchange in (None, new.alternate_exchange):
        return False
    try:
        found = [it.deliveries for it in side_by_side(old.name, host.topology, wanted)]
    except (Undecided, Undecidable):
        return True
    return any(() in is_.reach and () not in was.reach for was, is_ in found)


def lowered(change: kinds.Replace, host: VirtualHost, wanted: Topology) -> bool:
    """Whether a queue is made anew with a lower limit, over which what is moved there is dropped.

    Not with one over which nothing is taken: then the move ends, and the messages stay.
    """
    old, new = change.old, change.new
    if not isinstance(old, Queue) or not isinstance(new, Queue):
        return False
    policies = {**host.topology.policies, **wanted.policies}.values()
    is_ = dict(with_policy(new, policies).effective)
    if is_.get("x-overflow") == "reject-publish":  # the other kind dead-letters what it rejects
        is_ = {name: value for name, value in is_.items() if not name.startswith("x-max-length")}
    return _is_lower(old.effective, is_)


def _is_lower(was: Arguments, is_: Arguments) -> bool:
    """Returns True if messages that may wait under some limits may not under others."""
    for limit in LIMITS:
        old, new = was.get(limit), is_.get(limit)
        if new != old and isinstance(new, int) and (not isinstance(old, int) or new < old):
            return True
    return False
