"""A topology as files: an application's router package, and settings of RabbitMQ and Celery."""

from __future__ import annotations

from routewright.compiler.emit.celery_config import celery_config
from routewright.compiler.emit.declarations import declarations
from routewright.compiler.emit.definitions import definitions
from routewright.compiler.emit.names import names
from routewright.compiler.emit.render import render
from routewright.compiler.emit.router import router
from routewright.compiler.emit.stamp import Stamp, is_generated, prose
from routewright.compiler.lowering.lower import Lowered
from routewright.compiler.routing.routing import Routing

__all__ = ["Stamp", "emit", "is_generated"]


def emit(lowered: Lowered, stamp: Stamp, routing: Routing) -> dict[str, str]:
    """The text of each generated file, by its name; nothing is written.

    The same arguments give the same bytes, in every Python and on every machine.

    Args:
        lowered: the topology, and the same as it is declared on a broker.
        stamp: where they say they come from.
        routing: knows what the messages of each task reach.
    """
    topology, on_broker = lowered.topology, lowered.on_broker
    return {
        "__init__.py": render("__init__.py", stamp=stamp, topology=prose(topology.name)),
        "celery_config.py": celery_config(topology, stamp),
        "declarations.py": declarations(topology, on_broker, stamp),
        "definitions.json": definitions(on_broker, stamp),
        "names.py": names(topology, stamp),
        "py.typed": "",
        "router.py": router(topology, stamp, routing),
    }
