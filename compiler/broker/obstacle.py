"""What stands against making a thing anew."""

from __future__ import annotations

from routewright.compiler.broker import lifting, replacement
from routewright.compiler.broker.live import Live
from routewright.compiler.broker.steps import Replace
from routewright.compiler.topology import Queue, Topology


def obstacle(change: Replace, live: Live, wanted: Topology) -> str | None:
    """Why something cannot be replaced, if it cannot."""
    if isinstance(change.old, Queue):
        return replacement.obstacle(change, live, wanted)
    return lifting.obstacle(change, live, wanted)
