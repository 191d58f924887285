"""Delays lowered to what a broker knows: a topology with the exchanges and queues that delay."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from routewright.compiler.lowering.delay_ladder import ladder
from routewright.compiler.lowering.delay_landing import land, sources
from routewright.compiler.lowering.delay_names import belongs, ladder_names, prefix, prefixes
from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.rabbitmq.targets import VIRTUAL
from routewright.runtime.router.delay_ladder import DelayLadder


def with_delays(topology: Topology) -> Topology:
    """The topology as it is declared on a broker, where its `delays` have become plain objects.

    A target that has no dead letters gets none: there, workers hold what is not due yet.
    """
    delays = topology.delays
    if delays is None or topology.target in VIRTUAL:
        return replace(topology, delays=None)
    built = ladder(topology.name, delays, topology.target)
    landing = land(topology, delays.bits, built.last_stop, built.lost)
    added = (*built.levels, built.last_stop, built.lost, *landing.exchanges)
    return replace(
        topology,
        exchanges={**topology.exchanges, **{it.name: it for it in added}},
        queues={**topology.queues, **{it.name: it for it in built.queues}},
        bindings=(*topology.bindings, *built.bindings, *landing.bindings),
        delays=None,
    )


def without_delays(topology: Topology) -> Topology:
    """A topology that was read from a broker, without the objects that its delays became.

    What they do is proved where they are made, and their keys fall into too many classes to compare
    them again.
    """
    begin = {*prefixes(topology)}

    def stays(item: Exchange | Queue) -> bool:
        return not any(belongs(item.name, it) for it in begin)

    return replace(
        topology,
        exchanges={name: it for name, it in topology.exchanges.items() if stays(it)},
        queues={name: it for name, it in topology.queues.items() if stays(it)},
        bindings=tuple(
            it for it in topology.bindings if stays(it.source) and stays(it.destination)
        ),
    )


def ladder_for_runtime(topology: Topology) -> DelayLadder | None:
    """What the runtime needs to know to send a message later."""
    delays = topology.delays
    if delays is None:
        return None
    return DelayLadder(
        ladder_names(topology.name, delays, topology.target).level(delays.bits - 1),
        bits=delays.bits,
        resolution=delays.resolution,
        max=delays.max,
        sources=tuple(it.name for it in sources(topology) if it.name),
    )


def taken_names(topology: Topology) -> Iterable[Exchange | Queue]:
    """The declared exchanges and queues whose names the delays want."""
    begins = prefix(topology.name)
    declared: list[Exchange | Queue] = [
        *topology.exchanges.values(),
        *topology.queues.values(),
    ]
    return (it for it in declared if belongs(it.name, begins))
