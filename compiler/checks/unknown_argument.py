from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean, warning
from routewright.compiler.model.topology import Topology
from routewright.compiler.rabbitmq.queue_arguments import OTHER_ARGUMENTS, QUEUE_ARGUMENTS
from routewright.compiler.routing.routing import Routing


def unknown_argument(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A queue has an `x-` argument that RabbitMQ has no use for.

    The broker stores an argument that it does not know and says nothing, so that a misspelt
    `x-message-tll` means a queue whose messages live for ever.
    """
    known = QUEUE_ARGUMENTS.keys() | OTHER_ARGUMENTS
    for queue in topology.queues.values():
        for argument in queue.arguments:
            if argument.startswith("x-") and argument not in known:
                yield warning(
                    "unknown-argument",
                    f"no queue of RabbitMQ has the argument `{argument}`",
                    queue.origin.key_span("arguments", argument),
                    help=did_you_mean(argument, sorted(known), "take it away if it is a slip"),
                )
