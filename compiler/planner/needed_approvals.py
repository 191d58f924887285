"""The codes by which steps are allowed: what each of them may take away."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from routewright.compiler.keys.header_sets import Undecidable
from routewright.compiler.keys.patterns import Undecided
from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Arguments, Exchange, Policy, Queue, Topology
from routewright.compiler.plan.approvals import Code
from routewright.compiler.plan.changes import (
    Change,
    DeclareExchange,
    DeclareQueue,
    Move,
    RemoveExchange,
    RemovePolicy,
    RemoveQueue,
    Replace,
    SetPolicy,
    Unbind,
)
from routewright.compiler.plan.standin_names import is_stand_in
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.replace_queue import is_stand_in_queue
from routewright.compiler.planner.sends_by_name import senders
from routewright.compiler.planner.simulate import Simulation
from routewright.compiler.planner.simulated_host import Identity
from routewright.compiler.routing.outcomes_compared import fates

_LIMITS = ("x-message-ttl", "x-max-length", "x-max-length-bytes", "x-expires", "x-delivery-limit")


class NeededApprovals:
    """What steps may take away."""

    def __init__(
        self,
        host: VirtualHost,
        wanted: Topology,
        changes: Iterable[Change],
        lowered: Collection[str] = (),  # queues that are made anew with a lower limit
    ) -> None:
        self._host, self._wanted, self._lowered = host, wanted, lowered
        changes = [*changes]
        removing = any(isinstance(it, (Unbind, RemoveQueue, RemoveExchange)) for it in changes)
        leading = [it for it in changes if isinstance(it, SetPolicy) and self._leads_on(it.policy)]
        walk = Simulation(host.topology, changes) if removing or leading else None
        self._lossy: frozenset[Identity] = walk.lossy() if walk else frozenset()
        falling = walk.falling() if walk and leading else None
        self.fallen: str | None = falling  # a key that no alternate exchange catches any more
        self._leading = {it.policy.name for it in leading} if falling is not None else set()
        self._removed = {it.binding.identity for it in changes if isinstance(it, Unbind)}
        self._tightened = tightened(host.topology, changes)
        self._going = {it.exchange.name for it in changes if isinstance(it, RemoveExchange)}

    def of(self, change: Change) -> Code | None:
        """The code that a change needs, if it needs one."""
        match change:
            case Unbind(binding):
                if binding.identity not in self._removed:  # it is bound again later
                    return None
                if self._goes_for_good(binding.source.name):  # and is not proved to keep its keys
                    return "remove-exchange"
                return "lose-keys" if binding.identity in self._lossy else None
            case RemoveQueue(queue):
                if is_stand_in_queue(queue.name):
                    return None
                return "replace-queue" if queue.name in self._wanted.queues else "remove-queue"
            case RemoveExchange(exchange):
                if is_stand_in(exchange.name):
                    return None
                declared = exchange.name in self._wanted.exchanges
                return "replace-exchange" if declared else "remove-exchange"
            case DeclareExchange(exchange):
                before = self._host.topology.exchanges.get(exchange.name)
                if before is not None and falls_no_more(before, self._host, self._wanted):
                    return "lose-keys"
                return self._of_new(before)
            case DeclareQueue(queue):
                return self._of_new(self._host.topology.queues.get(queue.name))
            case RemovePolicy(policy):
                if is_stand_in(policy.name):
                    return None
                return "drop-messages" if self.tightened_by(policy) else "remove-policy"
            case Replace(_, Queue()):
                return "replace-queue"
            case Replace(_, Exchange()):
                return "replace-exchange"
            case Move(queue):
                return "drop-messages" if queue.name in self._lowered else None
            case SetPolicy(policy):
                if self.tightened_by(policy):
                    return "drop-messages"
                if policy.name in self._leading:
                    return "lose-keys"
                return "remove-policy" if self._strips(policy) else None
            case _:
                return None

    def tightened_by(self, policy: Policy) -> list[str]:
        """The queues that get a lower limit, where a policy has a part in it."""
        return sorted(name for name, by in self._tightened.items() if policy.name in by)

    def _leads_on(self, policy: Policy) -> bool:
        """Whether an exchange has another alternate by a policy, or none any more."""
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
        """Whether a queue that is not declared any more loses its dead letters by a policy."""
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


def tightened(topology: Topology, changes: Iterable[Change]) -> Mapping[str, Collection[str]]:
    """The queues that get a lower limit by policies in the end, with the policies that do it.

    These are the one that counts before and the one that counts afterwards.
    """
    before, after = topology.policies.values(), _policies_after(topology, changes).values()
    if not [*before, *after]:
        return {}
    found: dict[str, Collection[str]] = {}
    for name, it in topology.queues.items():
        was, is_ = (with_policy(replace(it, policy=None), each) for each in (before, after))
        if was.policy != is_.policy and _is_lower(was.effective, is_.effective):
            found[name] = {each.policy.name for each in (was, is_) if each.policy}
    return found


def _policies_after(topology: Topology, changes: Iterable[Change]) -> Mapping[str, Policy]:
    found = dict(topology.policies)
    for change in changes:
        match change:
            case SetPolicy(policy):
                found[policy.name] = policy
            case RemovePolicy(policy):
                found.pop(policy.name, None)
            case _:
                pass
    return found


def falls_no_more(old: Exchange, host: VirtualHost, wanted: Topology) -> bool:
    """Whether an exchange is made anew without its alternate, and keys reach no queue then."""
    new = wanted.exchanges.get(old.name)
    if new is None or old.alternate_exchange in (None, new.alternate_exchange):
        return False
    try:
        found = [it.deliveries for it in fates(old.name, host.topology, wanted)]
    except (Undecided, Undecidable):
        return True
    return any(() in is_.reach and () not in was.reach for was, is_ in found)


def lowered(change: Replace, host: VirtualHost, wanted: Topology) -> bool:
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
    """Whether messages that may wait under some limits may not under others."""
    for limit in _LIMITS:
        old, new = was.get(limit), is_.get(limit)
        if new != old and isinstance(new, int) and (not isinstance(old, int) or new < old):
            return True
    return False
