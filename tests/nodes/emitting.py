"""The generated files of a topology that was made by hand."""

from __future__ import annotations

from routewright.compiler.emit import Stamp, emit
from routewright.compiler.lowering.delays import with_delays
from routewright.compiler.lowering.lower import Lowered
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def emitted(topology: Topology, stamp: Stamp) -> dict[str, str]:
    """The text of each generated file; carve-outs are exchanges already."""
    return emit(Lowered(topology, with_delays(topology)), stamp, Routing(topology))
