"""Makes a topology of the rows of a file or a broker: joins bindings, and applies policies."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

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
    """The definitions of a file or a broker cannot be read, or do not fit together."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows of a virtual host, with no name looked up yet.

    A broker (`live`) has chosen among policies of the same priority and does not say which. Its
    list of bindings may be older than its lists of exchanges and queues.
    """

    exchanges: Sequence[Exchange]
    queues: Sequence[Queue]
    bindings: Sequence[BindingRow]
    policies: Sequence[Policy]
    operator_policies: Sequence[Policy]
    live: bool = False


def assemble(parts: Parts, name: str, vhost: str | None) -> Topology:
    """Returns the topology of a file or a broker, which gives it its name.

    Raises:
        MalformedDefinitions: the parts do not fit together.
    """
    by_name = attrgetter("name")
    policies = {policy.name: policy for policy in sorted(parts.policies, key=by_name)}
    operator_policies = sorted(parts.operator_policies, key=by_name)
    with_policy = _Policies(name, policies.values(), operator_policies, parts.live).applied_to
    topology = Topology(
        name,
        vhost=vhost,
        exchanges={
            exchange.name: with_policy(exchange)
            for exchange in parts.exchanges
            if exchange.name not in PREDECLARED
        },
        queues={queue.name: with_policy(queue) for queue in parts.queues},
        policies=policies,
        predeclared={key: with_policy(exchange) for key, exchange in PREDECLARED.items()},
    )
    return replace(topology, bindings=tuple(_bindings(parts, topology, name)))


def _bindings(parts: Parts, topology: Topology, name: str) -> Iterator[Binding]:
    exchanges = {exchange.name: exchange for exchange in topology.every_exchange()}
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
    """The policies of users and of operators, from which each exchange and queue gets its own."""

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
            listed = " and ".join(f"`{policy.name}`" for policy in contending)
            raise MalformedDefinitions(
                f"{self.name} has policies {listed} of the same priority, which both want "
                f"`{item.name}`; which of them counts is for the broker to say"
            )
        return contending[0] if contending else None
