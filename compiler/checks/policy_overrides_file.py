from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.model.topology import Queue, Topology
from routewright.compiler.routing.routing import Routing


def policy_overrides_file(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A queue says one thing of itself, and a policy makes it another.

    Of a number in both RabbitMQ takes the smaller, be it a time to live, a length or a delivery
    limit. On a quorum queue the policy's `overflow` and `expires` count, and on a stream all that
    it says. Elsewhere the queue's own argument does, and the policy is silent.
    """
    for queue in topology.queues.values():
        effective = queue.effective
        for argument, own in queue.arguments.items():
            if effective[argument] != own:
                yield _overridden(queue, argument)


def _overridden(queue: Queue, argument: str) -> Diagnostic:
    policy, key = queue.policy, argument.removeprefix("x-")
    name = policy.name if policy else ""
    return warning(
        "policy-overrides-file",
        f"policy `{name}` makes `{argument}` of queue `{queue.name}` "
        f"{queue.effective[argument]!r}, and the queue says {queue.arguments[argument]!r}",
        queue.argument_span(argument),
        help="say it in one of the two places",
        notes=(Note("the policy says so here", policy.key_span(key)),) if policy else (),
    )
