"""`router.py`: the exact table from task to route."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields

from routewright.compiler.emit.literal import Call
from routewright.compiler.emit.render import render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.routing import Routing
from routewright.compiler.templates import placeholders
from routewright.compiler.topology import Task, Topology
from routewright.runtime.route import Group, Route


def router(topology: Topology, stamp: Stamp, routing: Routing) -> str:
    """The module of the compiled routes."""
    routes = [_route(task, routing) for _, task in sorted(topology.tasks.items())]
    groups = [
        Group(name, tuple(queue.name for queue in group.queues), group.concurrency, group.prefetch)
        for name, group in sorted(topology.groups.items())
    ]
    return render(
        "router.py",
        stamp=stamp,
        topology=topology,
        imports=sorted({"Router", *(type(value).__name__ for value in (*routes, *groups))}),
        routes=tuple(map(_construction, routes)),
        groups=tuple(map(_construction, groups)),
    )


def _route(task: Task, routing: Routing) -> Route:
    wanted = placeholders(task.routing_key)
    by_key: dict[str, tuple[str, ...]] = {}
    if wanted and task.parameters.keys() >= set(wanted):
        by_key = {key: delivery.queues for key, delivery in routing.ways(task)}
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
        varies=not by_key and len({it.queues for _, it in routing.ways(task)}) > 1,
    )


def _construction(value: Route | Group) -> Call:
    """The call that makes a value; what equals its default is left out."""
    given = {field.name: getattr(value, field.name) for field in fields(value)}
    first, *rest = fields(value)
    keywords = {
        field.name: given[field.name] for field in rest if given[field.name] != _default(field)
    }
    return Call(type(value).__name__, [given[first.name]], keywords, tall=True)


def _default(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
