from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.checks.dead_letter_rounds import round_warning
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.routing import Routing


def dead_letter_loop_drops(
    topology: Topology, _routing: Routing, dead_letters: DeadLetters
) -> Iterator[Diagnostic]:
    """A message that queues give up on comes back to one it has been in, and is dropped there.

    RabbitMQ drops a dead letter, without a word, that reaches a queue for the second time when
    nobody rejected it on the way. Said of rounds in which every queue may give a message up by
    itself: it expires, there are too many, or it was delivered too often.
    """
    for loop in dead_letters.loops:
        if loop.by_itself:
            yield round_warning(
                "dead-letter-loop-drops",
                topology,
                loop,
                "that nobody rejects is dropped when it comes round",
                help_="let the last queue of the round dead-letter to somewhere else",
            )
