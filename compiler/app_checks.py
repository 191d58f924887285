"""Where an application and its topology do not agree: what `routewright check --app` adds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from routewright.compiler.diagnostics import Diagnostic, Note, Severity, did_you_mean
from routewright.compiler.routing import Routing
from routewright.compiler.topology import Task, Topology

if TYPE_CHECKING:
    from routewright.runtime.app import App
    from routewright.runtime.sendable import AnyTask


def check_app(topology: Topology, routing: Routing, app: App) -> Iterator[Diagnostic]:
    """What the application's tasks and the topology's do not have in common."""
    for name in sorted(app.tasks.keys() - topology.tasks.keys()):
        yield Diagnostic(
            "unrouted-task",
            f"the application has a task `{name}`, which the topology does not route",
            help=did_you_mean(name, topology.tasks, "declare it under `tasks`"),
        )
    for name, task in topology.tasks.items():
        if name in app.tasks:
            yield from _contradictions(task, app.tasks[name])
        else:
            yield _unregistered(task, topology, routing, app)


def _unregistered(task: Task, topology: Topology, routing: Routing, app: App) -> Diagnostic:
    reached = set(routing.reach(task))
    groups = [
        name
        for name, group in topology.groups.items()
        if not reached.isdisjoint(queue.name for queue in group.queues)
    ]
    return Diagnostic(
        "unregistered-task",
        f"no code of the application has the name of task `{task.name}`",
        task.origin.key_span(),
        help=did_you_mean(
            task.name, app.tasks, "import its module, or name it in App(include=...)"
        ),
        notes=tuple(Note(f"its messages come to worker group `{name}`") for name in groups),
    )


def _contradictions(task: Task, code: AnyTask) -> Iterator[Diagnostic]:
    """What the class or the decorator says otherwise than the topology."""
    for option, said in asdict(code.declared()).items():
        written = getattr(task, option, None)
        if said is None or not task.origin.has(option) or said == written:
            continue
        yield Diagnostic(
            "contradicting-attribute",
            f"task `{task.name}` has `{option}` {said!r} in its code and {written!r} here, and the "
            "code wins",
            task.origin.span(option),
            help="keep one of them",
            severity=Severity.WARNING,
        )
