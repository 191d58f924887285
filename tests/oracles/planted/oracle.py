"""Where the tasks of a topology go, by brute force."""

from __future__ import annotations

from brute_force import BruteForce

from planted.sound import Document, topology_of
from routewright.compiler.model.topology import Topology


def reached(document: Document, task: str) -> set[str]:
    topology = topology_of(document)
    it = topology.tasks[task]
    return BruteForce(topology).queues(it.exchange.name, it.routing_key, dict(it.headers))


def works(queues: set[str], topology: Topology) -> set[str]:
    return {name for name in queues if not topology.queues[name].tap}
