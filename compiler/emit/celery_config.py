"""`celery_config.py`: settings under which a Celery application routes as the topology says."""

from __future__ import annotations

from routewright.compiler.emit.literal import Call, Subscript
from routewright.compiler.emit.render import import_from, render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.model.topology import Topology
from routewright.runtime.router.route import HARMLESS


def celery_config(topology: Topology, stamp: Stamp) -> str:
    """The module of Celery's settings."""
    read = {name for group in topology.groups.values() for name in group.accept}
    queues = tuple(Call("consumed", [Subscript("queues", [name])]) for name in _consumed(topology))
    imports = {"CeleryAnnotations", "CeleryRoutes", *(["consumed"] if queues else [])}
    return render(
        "celery_config.py",
        stamp=stamp,
        topology=topology,
        imports=import_from("routewright.runtime.celery", imports),
        queues=queues,
        accepted=sorted(read or HARMLESS),
    )


def _consumed(topology: Topology) -> list[str]:
    """The queues of the worker groups; without groups, all that run tasks.

    Celery's worker consumes every queue of its settings, unless it is told which.
    """
    groups = topology.groups.values()
    if groups:
        return sorted({queue.name for group in groups for queue in group.queues})
    return sorted(
        name
        for name, queue in topology.queues.items()
        if not queue.tap and queue is not topology.parking
    )
