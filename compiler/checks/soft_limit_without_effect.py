from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def soft_limit_without_effect(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A task's soft time limit is not shorter than its time limit.

    At the soft one an exception is raised in the task, which it can handle; at the other it is
    given up. So the soft one never comes about.
    """
    for task in topology.tasks.values():
        soft, hard = task.soft_time_limit, task.time_limit
        if soft is not None and hard is not None and soft >= hard:
            yield warning(
                "soft-limit-without-effect",
                f"task `{task.name}` is given up after {hard:g} s, before its soft limit of "
                f"{soft:g} s",
                task.span_of("soft_time_limit"),
                help="make `soft_time_limit` shorter than `time_limit`",
            )
