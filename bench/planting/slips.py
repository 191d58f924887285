"""What the makers of slips have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from brute_force import BruteForce

from planting.sound_topologies import Document, Sound, topology_of
from routewright.compiler.topology import Topology

Slip: TypeAlias = tuple[str, Document]
"""What the diagnostic must speak of, and the topology with the slip in it."""

Planting: TypeAlias = Callable[[Sound], Iterator[Slip]]
"""Finds every place of a topology where one kind of slip can be made, and makes it."""


def reached(document: Document, task: str) -> set[str]:
    topology = topology_of(document)
    it = topology.tasks[task]
    return BruteForce(topology).queues(it.exchange.name, it.routing_key, dict(it.headers))


def works(queues: set[str], topology: Topology) -> set[str]:
    return {name for name in queues if not topology.queues[name].tap}


def with_queue(base: Sound, queue: Document) -> Document:
    """The document with another queue, `extra`, that is consumed if any is."""
    document = base.changed()
    document["queues"]["extra"] = queue
    if document["workers"]:
        document["workers"]["extra"] = {"queues": ["extra"]}
    return document


def bound(base: Sound) -> Iterator[str]:
    """The queues that something is bound to and that may have dead letters, but have none."""
    for name, queue in base.document["queues"].items():
        if queue["bindings"] and queue.get("type") != "stream" and "dead_letter" not in queue:
            yield name


def mortal(document: Document, name: str, dead_letter: Document) -> None:
    queue = document["queues"][name]
    queue["dead_letter"] = dead_letter
