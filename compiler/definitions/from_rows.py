"""A topology of what definitions or a broker say: bindings find their ends, and things a policy."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from routewright.compiler.definitions.rows import BindingRow
from routewright.compiler.model.policies import (
    Item,
    MalformedPattern,
    is_tie,
    winners,
    with_operator_policy,
)
from routewright.compiler.model.topology import (
    PREDECLARED,
    Binding,
    Exchange,
    Policy,
    Queue,
    Topology,
)


class MalformedDefinitions(ValueError):
    """A file is no export of definitions, or a broker answers otherwise; one line says why."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All that is said of a virtual host, with nothing looked up yet.

    A broker (`live`) has chosen among policies of the same priority, without telling; and what it
    says of a binding may be older than what it says of its ends.
    """

    exchanges: Sequence[Exchange]
    queues: Sequence[Queue]
    bindings: Sequence[BindingRow]
    policies: Sequence[Policy]
    operator_policies: Sequence[Policy]
    live: bool = False


def assemble(parts: Parts, name: str, vhost: str | None) -> Topology:
    """The topology that something of a name has said.

    Raises:
        MalformedDefinitions: it does not fit together.
    """
    policies = {it.name: it for it in sorted(parts.policies, key=lambda it: it.name)}
    operator_policies = sorted(parts.operator_policies, key=lambda it: it.name)
    counted = _Policies(name, policies.values(), operator_policies, parts.live)
    topology = Topology(
        name,
        vhost=vhost,
        exchanges={
            it.name: counted.applied_to(it) for it in parts.exchanges if it.name not in PREDECLARED
        },
        queues={it.name: counted.applied_to(it) for it in parts.queues},
        policies=policies,
        predeclared={it.name: counted.applied_to(it) for it in PREDECLARED.values()},
    )
    return replace(topology, bindings=tuple(_bindings(parts, topology, name)))


def _bindings(parts: Parts, topology: Topology, name: str) -> Iterator[Binding]:
    exchanges = {it.name: it for it in topology.every_exchange()}
    queues = topology.queues
    for row in parts.bindings:
        source = exchanges.get(row.source)
        end = exchanges.get(row.destination) if row.to_exchange else queues.get(row.destination)
        if source is not None and end is not None:
            yield Binding(source, end, row.key, row.arguments)
        elif not parts.live:
            lacking = row.source if source is None else row.destination
            raise MalformedDefinitions(f"{name} binds `{lacking}`, which it does not define")


@dataclass(frozen=True, slots=True)
class _Policies:
    """The policies of users and of operators that things may get."""

    name: str  # of the file or the broker that has them
    policies: Collection[Policy]
    operator_policies: Collection[Policy]
    live: bool

    def applied_to(self, item: Item) -> Item:
        if not item.name:
            return item  # the default exchange heeds none
        policy = self._winner(self.policies, item)
        if isinstance(item, Queue):
            limits = self._winner(self.operator_policies, item)
            if limits:
                policy = with_operator_policy(policy, limits)
        return replace(item, policy=policy) if policy else item

    def _winner(self, policies: Collection[Policy], item: Exchange | Queue) -> Policy | None:
        if not policies:
            return None
        try:
            contending = winners(policies, item)
        except MalformedPattern as error:
            raise MalformedDefinitions(
                f"{self.name} has a policy that cannot be judged: {error}"
            ) from None
        if is_tie(contending) and not self.live:
            listed = " and ".join(f"`{it.name}`" for it in contending)
            raise MalformedDefinitions(
                f"{self.name} has policies {listed} of the same priority, which both want "
                f"`{item.name}`; which of them counts is for the broker to say"
            )
        return contending[0] if contending else None
