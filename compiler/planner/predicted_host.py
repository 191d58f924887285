"""What a broker has once changes were made, and which changes would change nothing by then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from routewright.compiler.plan.canonical import canonical_policy
from routewright.compiler.plan.changes import Bind, DeclareExchange, DeclareQueue
from routewright.compiler.plan.ownership import Owned
from routewright.compiler.plan.steps import (
    Change,
    Disown,
    Own,
    RemoveExchange,
    SetPolicy,
    Unbind,
)
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.simulated_host import SimulatedHost


def after(live: VirtualHost, changes: Iterable[Change], owner: str) -> VirtualHost:
    """A broker once some changes were made for a topology of this name."""
    state, names = SimulatedHost(live.topology), set(live.owned_by(owner).names)
    for change in changes:
        state.take(change)
        if isinstance(change, Own):
            names.add((change.kind, change.name))
        elif isinstance(change, Disown):
            names.discard((change.kind, change.name))
    owned = {**live.owned, owner: Owned(frozenset(names), marked=True)}
    return replace(live, topology=state.topology(), owned=owned)


def remaining(changes: Iterable[Change], live: VirtualHost, owner: str) -> Iterator[Change]:
    """The changes that change something, one after the other."""
    state, owned = SimulatedHost(live.topology), set(live.owned_by(owner).names)
    for it in changes:
        match it:
            case Own(_, kind, name):
                done = (kind, name) in owned
                owned.add((kind, name))
            case Disown(_, kind, name):
                done = (kind, name) not in owned
                owned.discard((kind, name))
            case DeclareExchange(exchange):
                done = exchange.name in state.exchanges
            case DeclareQueue(queue):
                done = queue.name in state.queues
            case Bind(binding):
                done = binding.identity in state.bindings
            case Unbind(binding):
                done = binding.identity not in state.bindings
            case SetPolicy(policy):
                there = state.policies.get(policy.name)
                done = there is not None and canonical_policy(there) == canonical_policy(policy)
            case RemoveExchange(exchange):
                done = exchange.name not in state.exchanges
            case _:
                done = False
        if not done:
            state.take(it)
            yield it
