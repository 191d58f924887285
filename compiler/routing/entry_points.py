"""Where messages enter a topology, as far as its file tells."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.routing.graph import reachable
from routewright.compiler.routing.routing import Routing


def publishing(topology: Topology, routing: Routing) -> tuple[set[str], set[str]]:
    """The exchanges that messages are published to, and the queues that they are sent to by name.

    Tasks are. In a file without tasks any exchange is that neither another one nor a dead letter
    leads to, and any queue by its name that nothing is bound to. What no message would get to then,
    as a round of dead letters without a beginning, is taken to begin at the exchange that stands
    first in the file.
    """
    onward = _onward(topology)
    by_name = _by_name(topology, routing)
    named = (topology.queues[name] for name in by_name)
    beginning = {name for queue in named for name in _dead_letter_exchanges(topology, queue)}
    sources = _without_sources(topology)
    published = {it.exchange.name for it in topology.tasks.values()} or set(sources)
    met = {*reachable(chain(published, beginning), lambda it: onward.get(it, ()))}
    for name in (*sources, *topology.exchanges):
        if name not in met:
            published.add(name)
            met |= {*reachable([name], lambda it: onward.get(it, ()))}
    return published - {""}, by_name


def sent_by_name(topology: Topology, routing: Routing) -> set[str]:
    """The queues that some task is sent to by the default exchange."""
    return {
        name
        for task in topology.tasks.values()
        if not task.exchange.name
        for _, delivery in routing.deliveries_of(task)
        for name in delivery.queues
    }


def _by_name(topology: Topology, routing: Routing) -> set[str]:
    if topology.tasks:
        return sent_by_name(topology, routing)
    bound = {it.destination.name for it in topology.bindings if isinstance(it.destination, Queue)}
    return topology.queues.keys() - bound


def _without_sources(topology: Topology) -> Sequence[str]:
    """The exchanges that nothing leads to, in the order of the file."""
    led_to = {
        it.destination.name for it in topology.bindings if isinstance(it.destination, Exchange)
    }
    led_to |= {it.alternate_exchange or "" for it in topology.every_exchange()}
    led_to |= {it.dead_letter_exchange or "" for it in topology.queues.values()}
    bound = {it.source.name: None for it in topology.bindings}  # the broker's own ones as well
    return [name for name in (*topology.exchanges, *bound) if name not in led_to]


def _onward(topology: Topology) -> Mapping[str, AbstractSet[str]]:
    """Where messages go on from an exchange: to other exchanges, and as dead letters besides."""
    onward: defaultdict[str, set[str]] = defaultdict(set)
    for binding in topology.bindings:
        end = binding.destination
        if isinstance(end, Exchange):
            onward[binding.source.name].add(end.name)
        elif end.dead_letter_exchange is not None:
            onward[binding.source.name].update(_dead_letter_exchanges(topology, end))
    for exchange in topology.every_exchange():
        if exchange.alternate_exchange:
            onward[exchange.name].add(exchange.alternate_exchange)
    return onward


def _dead_letter_exchanges(topology: Topology, queue: Queue) -> Iterator[str]:
    """The exchange of a queue's dead letters; behind the default one, that of the queue there."""
    seen: set[str] = set()
    following: Queue | None = queue
    while following is not None and following.name not in seen:
        seen.add(following.name)
        if following.dead_letter_exchange:
            yield following.dead_letter_exchange
        by_name = following.dead_letter_exchange == ""
        key = following.dead_letter_routing_key if by_name else None
        following = topology.queues.get(key) if key is not None else None
