"""`__init__.py`: what the generated package exports."""

from __future__ import annotations

from routewright.compiler.emit.render import render
from routewright.compiler.emit.stamp import Stamp, prose
from routewright.compiler.model.topology import Topology


def package(topology: Topology, stamp: Stamp) -> str:
    """The package's own module; asking it for a kombu object is what imports kombu."""
    return render("__init__.py", stamp=stamp, topology=prose(topology.name))
