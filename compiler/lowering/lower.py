"""Lowers a topology to what a broker knows: exchanges, queues and bindings."""

from __future__ import annotations

from dataclasses import dataclass

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.lowering.carving import carve
from routewright.compiler.lowering.delays import with_delays
from routewright.compiler.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Lowered:
    """A topology as its publishers and workers see it, and as it is declared on a broker.

    Both have exchanges in place of carve-outs. `on_broker` also has the exchanges and queues of
    `delays`, whose names nobody but the runtime uses. `problems` are the carve-outs that are
    impossible, which stay as they were.
    """

    topology: Topology
    on_broker: Topology
    problems: tuple[Diagnostic, ...] = ()


def lower(topology: Topology) -> Lowered:
    """Lowers a resolved topology."""
    carved, problems = carve(topology)
    return Lowered(carved, with_delays(carved), tuple(problems))
