from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.model.topology import Topology


def unrouted_task(topology: Topology, name: str) -> Iterator[Diagnostic]:
    """The application has a task that the topology does not declare."""
    yield Diagnostic(
        "unrouted-task",
        f"the application has a task `{name}`, which the topology does not route",
        help=did_you_mean(name, topology.tasks, "declare it under `tasks`"),
    )
