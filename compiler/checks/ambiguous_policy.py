from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.model.policies import candidates, is_tie, winners
from routewright.compiler.model.topology import Exchange, Topology
from routewright.compiler.routing.routing import Routing


def ambiguous_policy(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """Two policies of the same priority want the same queue or exchange, and say different things.

    Only one counts, and RabbitMQ does not say which.
    """
    policies = topology.policies.values()
    told: set[tuple[str, ...]] = set()
    for item in candidates(topology):
        found = winners(policies, item)
        names = tuple(it.name for it in found)
        if is_tie(found) and names not in told:
            told.add(names)
            kind = "exchange" if isinstance(item, Exchange) else "queue"
            first = found[0]
            second = next(it for it in found if it.definition != first.definition)
            yield Diagnostic(
                "ambiguous-policy",
                f"policies `{first.name}` and `{second.name}` both want {kind} `{item.name}`, with "
                f"the same priority {first.priority}",
                second.origin.key_span(),
                help="give one of them a higher `priority`, or narrow a pattern",
                notes=(Note(f"`{first.name}` stands here", first.origin.key_span()),),
                witness=item.name,
            )
