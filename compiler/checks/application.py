"""Checks an application against its topology: what `routewright check --app` adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from routewright.compiler.checks.contradicting_attribute import contradicting_attribute
from routewright.compiler.checks.group_without_code import group_without_code
from routewright.compiler.checks.unregistered_task import unregistered_task
from routewright.compiler.checks.unrouted_task import unrouted_task
from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.task_names import owner
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class Code(Protocol):
    """The code of one task."""

    def declared(self) -> DataclassInstance:
        """The options that the code declares; those it says nothing of are None."""
        ...


class Application(Protocol):
    """An application, whose tasks have code."""

    @property
    def tasks(self) -> Mapping[str, Code]:
        """The code of each task, by the task's name."""
        ...


def check_app(topology: Topology, routing: Routing, app: Application) -> Iterator[Diagnostic]:
    """Yields everything in which the application and the topology do not agree."""
    with_code: set[str] = set()
    for name, code in sorted(app.tasks.items()):
        routed = owner(topology.tasks, name)
        if routed is None:
            yield from unrouted_task(topology, name)
        else:
            with_code.add(routed.name)
            yield from contradicting_attribute(routed, code.declared())
    without_code = [task for name, task in topology.tasks.items() if name not in with_code]
    yield from unregistered_task(without_code, app.tasks)
    yield from group_without_code(topology, routing, without_code)
