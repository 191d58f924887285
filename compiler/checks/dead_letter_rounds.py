"""The warning about a round of dead letters, for the checks that look at rounds."""

from __future__ import annotations

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.dead_letters import Loop, round_of


def round_warning(
    code: str, topology: Topology, loop: Loop, problem: str, *, help_: str
) -> Diagnostic:
    """Returns a warning at the first queue of a round, proved by a message that goes round."""
    return warning(
        code,
        f"a message with the key {loop.message.shown} {problem}: {round_of(loop)}",
        topology.queues[loop.queues[0]].argument_span("x-dead-letter-exchange"),
        help=help_,
        witness=loop.message.key,
        headers=loop.message.headers,
    )
