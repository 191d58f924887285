from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.analysis.paths import dead_ends, path_of
from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.routing import Routing


def dead_letter_goes_nowhere(
    topology: Topology, routing: Routing, dead_letters: DeadLetters
) -> Iterator[Diagnostic]:
    """A message that a queue gives up on reaches no queue behind its dead-letter exchange.

    RabbitMQ drops such a message without a word. Without a dead-letter routing key of the queue's
    own a message keeps its key, so that all the keys that reach the queue are looked at. Where that
    is too many, or an exchange behind looks at headers, of which a dead letter gets new ones, the
    answer is that it is undecided.
    """
    for queue in topology.queues.values():
        routes = list(dead_letters.routes(queue))
        by_outcome = {it.outcome: (key, it) for key, it in reversed(routes)}
        if Outcome.UNROUTABLE in by_outcome:
            key, delivery = by_outcome[Outcome.UNROUTABLE]
            yield warning(
                "dead-letter-goes-nowhere",
                f"the dead letters of queue `{queue.name}` with the key `{key}` reach no queue "
                f"from exchange `{queue.dead_letter_exchange}`",
                queue.argument_span("x-dead-letter-exchange"),
                help="bind a queue there that takes every key, or give the dead letters a key"
                if queue.dead_letter_routing_key is None
                else "bind a queue there",
                notes=(
                    *path_of(routing.arrivals.get(queue.name), queue.name),
                    *dead_ends(queue.dead_letter_exchange or "", delivery),
                ),
                witness=key,
            )
        elif Outcome.UNDECIDED in by_outcome:
            yield warning(
                "dead-letter-goes-nowhere",
                f"whether all dead letters of queue `{queue.name}` reach a queue from exchange "
                f"`{queue.dead_letter_exchange}` is undecided",
                queue.argument_span("x-dead-letter-exchange"),
                help="bind a queue there that takes every message",
            )
