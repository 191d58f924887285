"""A virtual host on the way through a plan: what each change makes of it, without a broker."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from routewright.compiler.broker.changes import Bind, DeclareExchange, DeclareQueue
from routewright.compiler.broker.steps import (
    Change,
    RemoveExchange,
    RemovePolicy,
    RemoveQueue,
    SetPolicy,
    Unbind,
)
from routewright.compiler.policy_match import with_policy
from routewright.compiler.topology import Binding, Exchange, Queue, Topology

Identity: TypeAlias = tuple[object, ...]
"""What tells one binding from another, as `Binding.identity` has it."""


class State:
    """A topology that changes."""

    def __init__(self, topology: Topology) -> None:
        self._first = topology
        self.exchanges = dict(topology.exchanges)
        self.queues = dict(topology.queues)
        self.bindings = {it.identity: it for it in topology.bindings}
        self.policies = dict(topology.policies)
        self.predeclared = dict(topology.predeclared)

    def take(self, change: Change) -> None:
        """Change as the broker would, which also takes away the bindings of what it removes."""
        match change:
            case DeclareExchange(exchange):
                self.exchanges[exchange.name] = with_policy(exchange, self.policies.values())
            case DeclareQueue(queue):
                self.queues[queue.name] = with_policy(queue, self.policies.values())
            case Bind(binding):
                self.bindings[binding.identity] = binding
            case Unbind(binding):
                self.bindings.pop(binding.identity, None)
            case RemoveQueue(queue):
                self.queues.pop(queue.name, None)
                self._forget(queue.name, is_exchange=False)
            case RemoveExchange(exchange):
                self.exchanges.pop(exchange.name, None)
                self._forget(exchange.name, is_exchange=True)
            case SetPolicy(policy):
                self.policies[policy.name] = policy
                self._heed_policies()
            case RemovePolicy(policy):
                self.policies.pop(policy.name, None)
                self._heed_policies()
            case _:  # marks are no part of what routes, and replacing keeps the name
                pass

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

    def _forget(self, name: str, *, is_exchange: bool) -> None:
        for identity, it in [*self.bindings.items()]:
            is_end = isinstance(it.destination, Exchange) == is_exchange
            if (is_end and it.destination.name == name) or (is_exchange and it.source.name == name):
                del self.bindings[identity]

    def _heed_policies(self) -> None:
        """Operator policies are left as they were found: no plan changes one."""
        policies = self.policies.values()
        for things in (self.exchanges, self.predeclared):
            for name, it in things.items():
                if name:
                    things[name] = with_policy(replace(it, policy=None), policies)


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
