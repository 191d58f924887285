from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.model.topology import Topology
from routewright.compiler.rabbitmq.policy_keys import OF_OTHERS, TAKEN_BY
from routewright.compiler.routing.routing import Routing


def unknown_policy_key(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A policy has a key that no policy can have.

    RabbitMQ refuses the policy, and with it the whole file of definitions. Not every argument of a
    queue is a key of policies: `max-priority`, `single-active-consumer` and the type of a queue are
    the queue's own for life.
    """
    known = TAKEN_BY.keys() | OF_OTHERS
    for policy in topology.policies.values():
        for key in policy.definition:
            if key not in known:
                yield Diagnostic(
                    "unknown-policy-key",
                    f"no policy of RabbitMQ has the key `{key}`",
                    policy.origin.key_span("definition", "arguments", key),
                    help=did_you_mean(key, sorted(known), "say it in the queues themselves"),
                )
