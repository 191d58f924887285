from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.lowering.delay_names import prefix
from routewright.compiler.lowering.delays import taken_names
from routewright.compiler.lowering.lower import Lowered
from routewright.compiler.model.policies import policy_matches
from routewright.compiler.model.topology import Exchange, Queue


def name_taken_by_delays(lowered: Lowered) -> Iterator[Diagnostic]:
    """An exchange or a queue has a name that `delays` need, or a policy applies to such a name.

    The exchanges and queues that delay messages are named after the topology, as
    `media.delay.25x100ms.3` and `media.delayed.25x100ms`. A policy that applies to one of them
    would change when its messages come out, or delete it with them.
    """
    topology, on_broker = lowered.topology, lowered.on_broker
    if topology.delays is None:
        return
    for item in taken_names(topology):
        yield Diagnostic(
            "name-taken-by-delays",
            f"`{item.name}` is a name that the topology's `delays` take",
            item.origin.key_span(),
            help=f"choose a name that does not begin with `{prefix(topology.name)}`",
        )
    added: list[Exchange | Queue] = [
        *(it for name, it in on_broker.queues.items() if name not in topology.queues),
        *(it for name, it in on_broker.exchanges.items() if name not in topology.exchanges),
    ]
    for policy in topology.policies.values():
        touched = next((it for it in added if policy_matches(policy, it)), None)
        if touched is not None:
            yield Diagnostic(
                "name-taken-by-delays",
                f"policy `{policy.name}` applies to `{touched.name}`, which delays messages",
                policy.origin.span("pattern"),
                help=f"write a pattern that does not match `{prefix(topology.name)}`",
            )
