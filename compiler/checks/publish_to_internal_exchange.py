from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def publish_to_internal_exchange(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A task is sent to an exchange that takes messages only from other exchanges.

    RabbitMQ refuses to publish to an internal exchange: it closes the channel with 403.
    """
    for task in topology.tasks.values():
        if task.exchange.internal:
            yield Diagnostic(
                "publish-to-internal-exchange",
                f"task `{task.name}` is sent to the internal exchange `{task.exchange.name}`",
                task.exchange_span,
                help="send it to an exchange that leads there, or take `internal: true` away",
                witness=task.routing_key,
            )
