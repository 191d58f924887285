"""What a plan depends on, as lines and as one hash: it applies to a broker that is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from routewright.compiler.model.topology import Exchange, Topology
from routewright.compiler.plan.canonical import canonical, canonical_policy, comparable_arguments
from routewright.compiler.plan.changes import Bind
from routewright.compiler.plan.virtual_host import VirtualHost


@dataclass(frozen=True, slots=True)
class Concerns:
    """The names of all that a plan looks at: what is declared, and what is owned."""

    exchanges: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()


def concerns_of(wanted: Topology, host: VirtualHost) -> Concerns:
    """All that a plan for a topology looks at on a broker."""
    owned = host.owned_by(wanted.name)
    return Concerns(
        frozenset({*wanted.exchanges, *owned.of_kind("exchange")}),
        frozenset({*wanted.queues, *owned.of_kind("queue")}),
    )


def fingerprint(host: VirtualHost, owner: str, concerns: Concerns) -> str:
    """A hash of all that a plan depends on: things with these names, and what is bound to them."""
    lines = [seen(host, owner, concerns), sorted(_shared(host, owner, concerns))]
    return "sha256:" + sha256(json.dumps(lines).encode()).hexdigest()


def seen(host: VirtualHost, owner: str, concerns: Concerns) -> list[str]:
    """What a plan depends on, a line for each thing, sorted."""
    lines = [*_things(host.topology, concerns)]
    lines += [f"owned {kind} `{name}`" for kind, name in host.owned_by(owner).names]
    return sorted(lines)


def _shared(host: VirtualHost, owner: str, concerns: Concerns) -> Iterator[str]:
    """What others own too, and is therefore not removed."""
    names = {"exchange": concerns.exchanges, "queue": concerns.queues}
    names["policy"] = host.owned_by(owner).of_kind("policy")
    for other, owned in host.owned.items():
        if other != owner:
            for kind, name in owned.names:
                if name in names[kind]:
                    yield f"owned by `{other}`: {kind} `{name}`"


def _things(topology: Topology, concerns: Concerns) -> Iterator[str]:
    for name in concerns.exchanges & topology.exchanges.keys():
        it = topology.exchanges[name]
        flags = (it.type, it.durable, it.auto_delete, it.internal, it.arguments)
        yield f"exchange `{name}` {canonical(flags)}"
    for name in concerns.queues & topology.queues.keys():
        queue = topology.queues[name]
        attributes = (queue.durable, queue.auto_delete, comparable_arguments(queue))
        yield f"queue `{name}` {canonical(attributes)}"
    for binding in topology.bindings:
        source, end = binding.source.name, binding.destination
        names = concerns.exchanges if isinstance(end, Exchange) else concerns.queues
        if source in concerns.exchanges or end.name in names:
            yield f"{Bind(binding)} {canonical(binding.arguments)}"
    for policy in topology.policies.values():
        yield f"policy `{policy.name}` {canonical_policy(policy)}"
