from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.model.policies import candidates, policy_matches
from routewright.compiler.model.topology import Exchange, Policy, Queue, Topology
from routewright.compiler.routing.routing import Routing


def policy_without_effect(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """No queue and no exchange of the topology gets a policy.

    Its pattern matches none of their names, or another policy of a higher priority matches them
    all: RabbitMQ applies one policy to each thing and never adds two together.
    """
    for policy in topology.policies.values():
        matched = [it for it in candidates(topology) if policy_matches(policy, it)]
        if not any(it.policy and it.policy.name == policy.name for it in matched):
            yield warning(
                "policy-without-effect",
                f"policy `{policy.name}` applies to nothing: {_why(policy, matched)}",
                policy.origin.span("pattern"),
                help="patterns are found anywhere in a name, and dots need a backslash: "
                "`^orders\\\\.`"
                if not matched
                else "raise its `priority`, or put its keys into the other policy",
            )


def _why(policy: Policy, matched: list[Queue | Exchange]) -> str:
    if not matched:
        return f"`{policy.pattern}` is found in no name"
    other = next((it.policy for it in matched if it.policy), None)
    if other is None:
        return "one of its keys is for queues of other types"
    return f"policy `{other.name}` comes first for `{matched[0].name}`"
