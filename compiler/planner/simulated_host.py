"""Simulates changes on a virtual host, without a broker: what each of them makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias, assert_never

from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.canonical import canonical_policy
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.ownership import Owned
from routewright.compiler.plan.virtual_host import VirtualHost

Identity: TypeAlias = tuple[object, ...]
"""What tells one binding from another, as `Binding.identity` has it."""


class SimulatedHost:
    """A topology that changes."""

    def __init__(self, topology: Topology) -> None:
        self._first = topology
        self.exchanges = dict(topology.exchanges)
        self.queues = dict(topology.queues)
        self.bindings = {it.identity: it for it in topology.bindings}
        self._bound = Counter(end for it in topology.bindings for end in _ends(it))
        self.policies = dict(topology.policies)
        self.predeclared = dict(topology.predeclared)

    def take(self, change: Change) -> None:
        """Change as the broker would, which also takes away the bindings of what it removes."""
        match change:
            case kinds.DeclareExchange(exchange):
                self.exchanges[exchange.name] = with_policy(exchange, self.policies.values())
            case kinds.DeclareQueue(queue):
                self.queues[queue.name] = with_policy(queue, self.policies.values())
            case kinds.Bind(binding):
                self._forget([binding.identity])
                self.bindings[binding.identity] = binding
                self._bound.update(_ends(binding))
            case kinds.Unbind(binding):
                self._forget([binding.identity])
            case kinds.RemoveQueue(queue):
                self.queues.pop(queue.name, None)
                self._forget(self.bound_to(queue))
            case kinds.RemoveExchange(exchange):
                self.exchanges.pop(exchange.name, None)
                self._forget(self.bound_to(exchange))
            case kinds.SetPolicy(policy):
                self.policies[policy.name] = policy
                self._heed_policies()
            case kinds.RemovePolicy(policy):
                self.policies.pop(policy.name, None)
                self._heed_policies()
            case kinds.Own() | kinds.Disown() | kinds.Replace() | kinds.Move() | kinds.Release():
                pass  # marks are no part of what routes, and replacing keeps the name
            case _:
                assert_never(change)

    def topology(self) -> Topology:
        """What it is now; each binding holds the ends that are there now."""
        found = replace(
            self._first,
            exchanges=dict(self.exchanges),
            queues=dict(self.queues),
            policies=dict(self.policies),
            predeclared=dict(self.predeclared),
            bindings=(),
        )
        bindings = (rebound(it, found) for it in self.bindings.values())
        return replace(found, bindings=tuple(it for it in bindings if it is not None))

    def bound_to(self, end: Exchange | Queue) -> list[Identity]:
        """The bindings that the broker takes away together with what they bind."""
        this = type(end), end.name
        if not self._bound[this]:  # as of most that are removed: what is unbound comes first
            return []
        return [identity for identity, it in self.bindings.items() if this in _ends(it)]

    def _forget(self, identities: Iterable[Identity]) -> None:
        for identity in identities:
            binding = self.bindings.pop(identity, None)
            if binding is not None:
                self._bound.subtract(_ends(binding))

    def _heed_policies(self) -> None:
        """Operator policies are left as they were found: no plan changes one."""
        policies = self.policies.values()
        for things in (self.exchanges, self.predeclared):
            for name, it in things.items():
                if name:
                    things[name] = with_policy(replace(it, policy=None), policies)


def _ends(binding: Binding) -> tuple[tuple[type, str], tuple[type, str]]:
    source, destination = binding.source, binding.destination
    return (type(source), source.name), (type(destination), destination.name)


def rebound(binding: Binding, topology: Topology) -> Binding | None:
    """A binding that holds the ends of another topology; None if one is not there."""
    source = topology.exchange(binding.source.name)
    name = binding.destination.name
    destination: Exchange | Queue | None = topology.queues.get(name)
    if isinstance(binding.destination, Exchange):
        destination = topology.exchange(name)
    if source is None or destination is None:
        return None
    return Binding(source, destination, binding.key, binding.arguments, binding.origin)


def after(host: VirtualHost, changes: Iterable[Change], owner: str) -> VirtualHost:
    """Returns a virtual host as it is once some changes were made for a topology of this name."""
    state, names = SimulatedHost(host.topology), set(host.owned_by(owner).names)
    for change in changes:
        state.take(change)
        if isinstance(change, kinds.Own):
            names.add((change.kind, change.name))
        elif isinstance(change, kinds.Disown):
            names.discard((change.kind, change.name))
    owned = {**host.owned, owner: Owned(frozenset(names), marked=True)}
    return replace(host, topology=state.topology(), owned=owned)


def remaining(changes: Iterable[Change], host: VirtualHost, owner: str) -> Iterator[Change]:
    """Yields the changes that change something, where each follows those before it."""
    state, owned = SimulatedHost(host.topology), set(host.owned_by(owner).names)
    for it in changes:
        match it:
            case kinds.Own(_, kind, name):
                done = (kind, name) in owned
                owned.add((kind, name))
            case kinds.Disown(_, kind, name):
                done = (kind, name) not in owned
                owned.discard((kind, name))
            case kinds.DeclareExchange(exchange):
                done = exchange.name in state.exchanges
            case kinds.DeclareQueue(queue):
                done = queue.name in state.queues
            case kinds.Bind(binding):
                done = binding.identity in state.bindings
            case kinds.Unbind(binding):
                done = binding.identity not in state.bindings
            case kinds.SetPolicy(policy):
                there = state.policies.get(policy.name)
                done = there is not None and canonical_policy(there) == canonical_policy(policy)
            case kinds.RemoveExchange(exchange):
                done = exchange.name not in state.exchanges
            case _:
                done = False
        if not done:
            state.take(it)
            yield it
