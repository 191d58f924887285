"""Checks when a worker starts: can it read its messages and run its tasks?"""

from __future__ import annotations

import logging
from collections.abc import Collection

from kombu.serialization import registry

from routewright.runtime.api.app import App
from routewright.runtime.errors import WorkerUsageError
from routewright.runtime.router.route import HARMLESS, Group, Route
from routewright.runtime.router.topics import matches

logger = logging.getLogger("routewright.worker")


def accepted(group: Group) -> Collection[str]:
    """Returns the content types a group reads: those of the serializers that the topology says.

    A pickle runs code as it is read, so only the topology can allow it.

    Raises:
        WorkerUsageError: nobody has registered one of them.
    """
    types = registry.name_to_type
    read = {name: types.get(name) or types.get(name.lower()) for name in group.accept}
    unknown = [name for name, content_type in read.items() if content_type is None]
    for name in unknown:
        if name not in HARMLESS:  # msgpack is there only where its package is
            raise WorkerUsageError(
                f"group {group.name} reads `{name}`, and no code registers such a serializer"
            )
    return frozenset(content_type for content_type in read.values() if content_type)


def check_code(app: App, group: Group) -> None:
    """Logs which tasks come to the group and have no code in the app.

    Raises:
        WorkerUsageError: none of them has, so that the worker would reject every message.
    """
    expected = {route.task for route in _routes(app, group)}
    without = sorted(
        name for name in expected if not any(matches(name, task) for task in app.tasks)
    )
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
    """Returns the routes that bring tasks, and not only copies, to the group's queues."""
    queues = set(group.queues)
    return [
        route
        for route in app.router.tasks.values()
        if queues.intersection(route.queues).difference(route.taps)
    ]
