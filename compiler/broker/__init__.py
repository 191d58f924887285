"""Opens connections to a broker, reads what is there, and holds the calls that change it.

Which of these calls are made, and in which order, is decided in `planner` and `executor`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routewright.compiler.broker.errors import BrokerError as BrokerError
    from routewright.compiler.broker.errors import ConflictsFound as ConflictsFound
    from routewright.compiler.executor.over_amqp import apply_topology as apply_topology
    from routewright.compiler.plan.changes import Applied as Applied
    from routewright.compiler.plan.changes import Conflict as Conflict
    from routewright.compiler.plan.changes import OnStep as OnStep

_HOMES = {
    "Applied": "routewright.compiler.plan.changes",
    "BrokerError": "routewright.compiler.broker.errors",
    "Conflict": "routewright.compiler.plan.changes",
    "ConflictsFound": "routewright.compiler.broker.errors",
    "OnStep": "routewright.compiler.plan.changes",
    "apply_topology": "routewright.compiler.executor.over_amqp",
}

__all__ = [
    "Applied",
    "BrokerError",
    "Conflict",
    "ConflictsFound",
    "OnStep",
    "apply_topology",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: every module of the package passes here first."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
