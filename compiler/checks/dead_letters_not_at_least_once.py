from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def dead_letters_not_at_least_once(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A queue asks for dead letters that are never lost, and will not get them.

    `dead_letter_strategy: at-least-once` needs a dead-letter exchange and `overflow:
    reject-publish`. Without them RabbitMQ falls back to at-most-once and says so only in its log.
    """
    for queue in topology.queues.values():
        if queue.effective.get("x-dead-letter-strategy") != "at-least-once":
            continue
        missing = []
        if queue.dead_letter_exchange is None:
            missing.append("`dead_letter: {exchange: ...}`")
        if queue.effective.get("x-overflow") != "reject-publish":
            missing.append("`overflow: reject-publish`")
        if missing:
            yield warning(
                "dead-letters-not-at-least-once",
                f"the dead letters of queue `{queue.name}` are sent at most once all the same",
                queue.argument_span("x-dead-letter-strategy"),
                help=f"add {' and '.join(missing)}",
            )
