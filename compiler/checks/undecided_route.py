from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics import Diagnostic, Severity
from routewright.compiler.routing import Outcome, Routing
from routewright.compiler.templates import placeholders
from routewright.compiler.topology import Topology


def undecided_route(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task's message meets an exchange of a type that nothing is known of.

    How an exchange of a plugin's type routes is the plugin's business. Nothing can be promised of
    a task behind one: it may reach any of the queues bound there, several of them, or none.
    """
    for task in topology.tasks.values():
        ways = routing.ways(task)
        undecided = [key for key, it in ways if it.outcome is Outcome.UNDECIDED]
        if undecided:
            key = undecided[0]
            yield Diagnostic(
                "undecided-route",
                f"where task `{task.name}` goes cannot be known: there is an exchange of a "
                "plugin's type on its way, or its key may be too many things",
                task.exchange_span,
                help="use an exchange of the broker's own types where that will do",
                severity=Severity.WARNING,
                witness=None if placeholders(key) else key,
            )
