from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.checks.dead_letter_rounds import round_warning
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.routing import Routing


def endless_dead_letter_loop(
    topology: Topology, _routing: Routing, dead_letters: DeadLetters
) -> Iterator[Diagnostic]:
    """A message that is rejected again and again goes round for ever.

    Dead letters of a queue come back to it, and somebody consumes on the way, who may reject. A
    retry by way of a queue that waits is built like this: then something must count the rounds,
    for RabbitMQ does not.
    """
    for loop in dead_letters.loops:
        if loop.rejectable:
            yield round_warning(
                "endless-dead-letter-loop",
                topology,
                loop,
                "that is rejected comes round for ever",
                help_="let the consumer give up after some rounds; "
                "the header `x-death` counts them",
            )
