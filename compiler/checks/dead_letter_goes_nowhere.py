from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.deadletters import DeadLetters
from routewright.compiler.diagnostics import Diagnostic, Severity
from routewright.compiler.routing import Delivery, Outcome, Routing
from routewright.compiler.topology import Topology


def dead_letter_goes_nowhere(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A message that a queue gives up on reaches no queue behind its dead-letter exchange.

    RabbitMQ drops such a message without a word. Without a dead-letter routing key of the queue's
    own a message keeps its key, so that all the keys that reach the queue are looked at.
    """
    dead_letters = DeadLetters(topology, routing)
    for queue in topology.queues.values():
        key = next((key for key, it in dead_letters.routes(queue) if _is_lost(it)), None)
        if key is None:
            continue
        yield Diagnostic(
            "dead-letter-goes-nowhere",
            f"the dead letters of queue `{queue.name}` with the key `{key}` reach no queue from "
            f"exchange `{queue.dead_letter_exchange}`",
            queue.argument_span("x-dead-letter-exchange"),
            help="bind a queue there that takes every key, or give the dead letters a key"
            if queue.dead_letter_routing_key is None
            else "bind a queue there",
            severity=Severity.WARNING,
            witness=key,
        )


def _is_lost(delivery: Delivery) -> bool:
    return delivery.outcome is Outcome.UNROUTABLE
