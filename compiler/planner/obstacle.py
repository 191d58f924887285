"""What stands against making a thing anew."""

from __future__ import annotations

from routewright.compiler.model.topology import Queue, Topology
from routewright.compiler.plan.changes import Replace
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner import replace_exchange as lifting
from routewright.compiler.planner import replace_queue as replacement


def obstacle(change: Replace, host: VirtualHost, wanted: Topology) -> str | None:
    """Why something cannot be replaced, if it cannot."""
    if isinstance(change.old, Queue):
        return replacement.obstacle(change, host, wanted)
    return lifting.obstacle(change, host, wanted)
