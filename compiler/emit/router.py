"""`router.py`: the exact table from task to route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields

from routewright.compiler.delays import entry
from routewright.compiler.emit.literal import Call
from routewright.compiler.emit.render import render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.routing import Routing
from routewright.compiler.templates import TASK, all_listed, placeholders
from routewright.compiler.topology import Task, Topology, WorkerGroup, readers
from routewright.runtime.delays import DelayLadder
from routewright.runtime.route import HARMLESS, Group, Route


def router(topology: Topology, stamp: Stamp, routing: Routing) -> str:
    """The module of the compiled routes."""
    tasks, reads = topology.tasks, readers(topology)
    names = sorted(name for name, task in tasks.items() if not task.is_pattern)
    exact = [_route(tasks[name], routing, reads) for name in names]
    patterns = [_route(tasks[name], routing, reads) for name in _patterns(tasks)]
    groups = [
        Group(
            name,
            tuple(queue.name for queue in group.queues),
            group.concurrency,
            group.prefetch,
            group.accept,
        )
        for name, group in sorted(topology.groups.items())
    ]
    delays = entry(topology)
    imports = {"Router", *(type(value).__name__ for value in (*exact, *patterns, *groups))}
    return render(
        "router.py",
        stamp=stamp,
        topology=topology,
        imports=sorted(imports),
        routes=tuple(map(_construction, exact)),
        patterns=tuple(map(_construction, patterns)),
        groups=tuple(map(_construction, groups)),
        delays=delays and _construction(delays),
    )


def _patterns(tasks: Mapping[str, Task]) -> list[str]:
    """The names that are patterns, each after those that take names away from it."""
    patterns = [task for task in tasks.values() if task.is_pattern]
    return [it.name for it in sorted(patterns, key=lambda it: (len(it.narrower), it.name))]


def _route(task: Task, routing: Routing, reads: Mapping[str, Sequence[WorkerGroup]]) -> Route:
    wanted = tuple(it for it in placeholders(task.routing_key) if it != TASK)
    ways = routing.ways(task)
    by_key: dict[str, tuple[str, ...]] = {}
    if wanted and all_listed(task) and len({key for key, _ in ways}) == len(ways):
        by_key = {key: delivery.queues for key, delivery in ways}
    return Route(
        task.name,
        exchange=task.exchange.name,
        routing_key=task.routing_key,
        queues=routing.reach(task),
        headers=task.headers,
        priority=task.priority,
        serializer=task.serializer,
        mandatory=task.mandatory,
        immediate=task.immediate,
        ignore_result=task.ignore_result,
        expires=task.expires,
        taps=tuple(name for name in routing.reach(task) if routing.is_tap(name)),
        parameters={name: task.parameters.get(name, ()) for name in wanted},
        queues_by_key=by_key,
        accepted=_accepted(routing.reach(task), reads),
        varies=not by_key and len({it.queues for _, it in ways}) > 1,
    )


def _accepted(queues: Sequence[str], reads: Mapping[str, Sequence[WorkerGroup]]) -> tuple[str, ...]:
    """The serializers that every group reads which gets the messages of a task."""
    groups = [group for name in queues for group in reads.get(name, ())]
    if not groups:
        return HARMLESS
    first, *others = groups
    return tuple(name for name in first.accept if all(name in it.accept for it in others))


def _construction(value: Route | Group | DelayLadder) -> Call:
    """The call that makes a value; what equals its default is left out."""
    given = {field.name: getattr(value, field.name) for field in fields(value)}
    first, *rest = fields(value)
    keywords = {
        field.name: given[field.name] for field in rest if given[field.name] != _default(field)
    }
    return Call(type(value).__name__, [given[first.name]], keywords, tall=True)


def _default(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
