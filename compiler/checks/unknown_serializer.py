from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean, warning
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing

SERIALIZERS = ("json", "msgpack", "pickle", "yaml")


def unknown_serializer(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A task is sent by a serializer that kombu does not bring, or a worker group reads such a one.

    Sending the task raises an error unless the application registers a serializer of that name, and
    a worker of the group does not start.
    """
    for task in topology.tasks.values():
        if task.serializer.lower() not in SERIALIZERS:
            yield warning(
                "unknown-serializer",
                f"task `{task.name}` is sent by `{task.serializer}`, which is no serializer of "
                "kombu's",
                task.span_of("serializer"),
                help=did_you_mean(task.serializer, SERIALIZERS)
                or "register it with kombu, in the sender and in the worker",
            )
    for group in topology.groups.values():
        for index, name in enumerate(group.accept):
            if name.lower() not in SERIALIZERS:
                yield warning(
                    "unknown-serializer",
                    f"worker group `{group.name}` reads `{name}`, which is no serializer of "
                    "kombu's",
                    group.origin.span("accept", index),
                    help=did_you_mean(name, SERIALIZERS)
                    or "register it with kombu, in the sender and in the worker",
                )
