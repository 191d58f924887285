from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.model.policies import policy_matches, unfit_key
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def policy_passed_over(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A policy matches a queue by name, and one of its keys is for queues of other types.

    RabbitMQ then applies nothing of the policy to that queue, not even the keys that fit, and looks
    for one of lower priority.
    """
    for policy in topology.policies.values():
        for queue in topology.queues.values():
            key = unfit_key(policy, queue) if policy_matches(policy, queue) else None
            if key is not None:
                yield warning(
                    "policy-passed-over",
                    f"policy `{policy.name}` does nothing to the {queue.type} queue "
                    f"`{queue.name}`, whose type does not take `{key}`",
                    policy.key_span(key),
                    help=f"put `{key}` into a policy of its own, or narrow the pattern",
                    notes=(Note("the queue is declared here", queue.origin.key_span()),),
                )
                break  # one queue shows it
