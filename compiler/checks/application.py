"""Where an application and its topology do not agree: what `routewright check --app` adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, Severity, did_you_mean
from routewright.compiler.model.task_names import owner
from routewright.compiler.model.topology import Task, Topology, WorkerGroup
from routewright.compiler.routing.routing import Routing

if TYPE_CHECKING:
    from routewright.runtime.api.any_task import AnyTask
    from routewright.runtime.api.app import App

_MOST_NAMES = 5  # of tasks, in one message


def check_app(topology: Topology, routing: Routing, app: App) -> Iterator[Diagnostic]:
    """What the application's tasks and the topology's do not have in common."""
    with_code: set[str] = set()
    for name in sorted(app.tasks):
        routed = owner(topology.tasks, name)
        if routed is None:
            yield Diagnostic(
                "unrouted-task",
                f"the application has a task `{name}`, which the topology does not route",
                help=did_you_mean(name, topology.tasks, "declare it under `tasks`"),
            )
        else:
            with_code.add(routed.name)
            yield from _contradictions(routed, app.tasks[name])
    without = [task for name, task in topology.tasks.items() if name not in with_code]
    for task in without:
        yield _unregistered(task, app)
    for group in topology.groups.values():
        yield from _without_code(group, without, routing)


def _unregistered(task: Task, app: App) -> Diagnostic:
    what = "a name that matches" if task.is_pattern else "the name of"
    return Diagnostic(
        "unregistered-task",
        f"no code of the application has {what} task `{task.name}`",
        task.origin.key_span(),
        help=did_you_mean(
            task.name, app.tasks, "import its module, or name it in App(include=...)"
        ),
    )


def _without_code(
    group: WorkerGroup, without: Sequence[Task], routing: Routing
) -> Iterator[Diagnostic]:
    """The tasks that come to a worker group which could not run them."""
    queues = {queue.name for queue in group.queues if not queue.tap}
    met = {
        task.name: (key, task)
        for task in without
        for key, delivery in reversed(routing.deliveries_of(task))
        if not queues.isdisjoint(delivery.queues)
    }
    if met:
        names = ", ".join(f"`{name}`" for name in list(met)[:_MOST_NAMES])
        names += f" and {len(met) - _MOST_NAMES} more" if len(met) > _MOST_NAMES else ""
        first, _ = next(iter(met.values()))
        yield Diagnostic(
            "group-without-code",
            f"worker group `{group.name}` gets {names}, for which the application has no code",
            group.origin.key_span(),
            help="import the modules, or send the tasks to the queues of another group",
            notes=tuple(
                Note(f"`{key}` of task `{name}` comes by {_ways(key, task, routing)}")
                for name, (key, task) in list(met.items())[:_MOST_NAMES]
            ),
            witness=first,
        )


def _ways(key: str, task: Task, routing: Routing) -> str:
    queues = {name for way, it in routing.deliveries_of(task) if way == key for name in it.queues}
    return "queue " + ", ".join(f"`{name}`" for name in sorted(queues))


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
