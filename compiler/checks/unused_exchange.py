from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.model.topology import Exchange, Topology
from routewright.compiler.routing.routing import Routing


def unused_exchange(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """Nothing in the file sends to an exchange.

    No task is published there, no exchange is its source, and it is neither an alternate nor a
    dead-letter exchange. Without tasks in the file nothing is known of who publishes where.
    """
    if not topology.tasks:
        return
    used = {task.exchange.name for task in topology.tasks.values()}
    ends = [binding.destination for binding in topology.bindings]
    used |= {end.name for end in ends if isinstance(end, Exchange)}
    used |= {it.alternate_exchange or "" for it in topology.every_exchange()}
    used |= {it.dead_letter_exchange or "" for it in topology.queues.values()}
    for name, exchange in topology.exchanges.items():
        if name not in used:
            yield warning(
                "unused-exchange",
                f"nothing is sent to exchange `{name}`: no task, no exchange, no dead letter",
                exchange.origin.key_span(),
                help="send a task there, or take it away",
            )
