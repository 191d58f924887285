from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def dead_letter_key_without_exchange(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A queue has a dead-letter routing key and no dead-letter exchange to use it on.

    RabbitMQ refuses the declaration with 406, `routing_key_but_no_dlx_defined`.
    """
    for queue in topology.queues.values():
        if "x-dead-letter-exchange" in queue.arguments:
            continue
        if "x-dead-letter-routing-key" in queue.arguments:
            yield Diagnostic(
                "dead-letter-key-without-exchange",
                f"queue `{queue.name}` has a dead-letter routing key and no dead-letter exchange",
                queue.argument_span("x-dead-letter-routing-key"),
                help="write `dead_letter: {exchange: ..., routing_key: ...}`",
            )
