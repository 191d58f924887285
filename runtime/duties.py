"""What the routes ask of a worker group: the content types it reads, the tasks it has code for."""

from __future__ import annotations

import logging
from collections.abc import Collection

from kombu.serialization import registry

from routewright.runtime.app import App
from routewright.runtime.errors import WorkerUsageError
from routewright.runtime.route import Group, Route

HARMLESS = ("json", "yaml", "msgpack")  # reading them runs no code of the sender's

logger = logging.getLogger("routewright.worker")


def accepted(app: App, group: Group) -> Collection[str]:
    """The content types a group reads: harmless ones, and what the tasks of its queues go out as.

    A pickle runs code as it is read, so only the topology can allow it, never a task's attribute.
    """
    routes = _routes(app, group)
    names = {*HARMLESS, *(route.serializer for route in routes)}
    for route in routes:
        task = app.tasks.get(route.task)
        declared = None if task is None else task.declared().serializer
        if declared and declared.lower() != "pickle":
            names.add(declared)
    types = registry.name_to_type
    known = (name if name in types else name.lower() for name in names)
    return frozenset(types[name] for name in known if name in types)


def check_code(app: App, group: Group) -> None:
    """Say which tasks come to the group and have no code in the app.

    Raises:
        WorkerUsageError: none of them has, so that the worker would reject every message.
    """
    expected = {route.task for route in _routes(app, group)}
    without = sorted(expected.difference(app.tasks))
    if not without:
        return
    problem = (
        f"group {group.name}: no code for task {', '.join(f'`{name}`' for name in without)};"
        " see App(include=...)"
    )
    if len(without) == len(expected):
        raise WorkerUsageError(problem)
    logger.error("%s", problem)


def _routes(app: App, group: Group) -> list[Route]:
    """The routes that bring tasks, and not only copies, to the group's queues."""
    queues = set(group.queues)
    return [
        route
        for route in app.router.tasks.values()
        if queues.intersection(route.queues).difference(route.taps)
    ]
