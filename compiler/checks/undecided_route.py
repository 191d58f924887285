from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics import Diagnostic, Note, Severity
from routewright.compiler.routing import Outcome, Routing
from routewright.compiler.topology import Topology

_MOST_NOTES = 5


def undecided_route(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task's message meets an exchange of a type that nothing is known of.

    How an exchange of a plugin's type routes is the plugin's business. Nothing can be promised of
    a task behind one: it may reach any of the queues bound there, several of them, or none. Of
    `x-delayed-message`, `x-recent-history`, `x-consistent-hash`, `x-random` and `x-modulus-hash`
    it is known, unless they stand so one behind another that there are too many ways to go.
    """
    for task in topology.tasks.values():
        undecided = [it for _, it in routing.ways(task) if it.outcome is Outcome.UNDECIDED]
        if undecided:
            may_reach = sorted({name for it in undecided for name in it.may_reach})
            yield Diagnostic(
                "undecided-route",
                f"where task `{task.name}` goes cannot be known: there is an exchange of a "
                "plugin's type on its way, or its key may be too many things",
                task.exchange_span,
                help="use an exchange of the broker's own types where that will do",
                notes=tuple(
                    Note(f"it may reach queue `{name}`", topology.queues[name].origin.key_span())
                    for name in may_reach[:_MOST_NOTES]
                ),
                severity=Severity.WARNING,
                witness=task.routing_key,
            )
