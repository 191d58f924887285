"""Replacing an exchange or a queue: why it is impossible, and what is lost meanwhile.

What is sent to a thing by its name, and not by a binding, is lost while it is re-created. Nothing
can lead such a message elsewhere: RabbitMQ has no step that puts one queue or exchange in the place
of another. Exchanges that have another one as their alternate do not send by name: the routing core
says what becomes of their keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.plan.changes import Replace
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.replace_exchange import obstacle_to_exchange
from routewright.compiler.planner.replace_queue import obstacle_to_queue


def obstacle(change: Replace, host: VirtualHost, wanted: Topology) -> str | None:
    """Returns why something cannot be replaced, if it cannot."""
    if isinstance(change.old, Queue):
        return obstacle_to_queue(change, host, wanted)
    return obstacle_to_exchange(change, host, wanted)


def senders(to: Exchange | Queue, *topologies: Topology) -> tuple[str, ...]:
    """Names, in words, all that would send messages to something by its name."""
    find = _to_exchange if isinstance(to, Exchange) else _to_queue
    found = {it: None for topology in topologies for it in find(to.name, topology)}
    return tuple(found)


def _to_exchange(name: str, topology: Topology) -> Iterator[str]:
    for queue in topology.queues.values():
        if queue.dead_letter_exchange == name:
            yield f"the dead letters of queue `{queue.name}`"


def _to_queue(name: str, topology: Topology) -> Iterator[str]:
    for queue in topology.queues.values():
        if queue.dead_letter_exchange == "" and queue.dead_letter_routing_key == name:
            yield f"the dead letters of queue `{queue.name}`"
    for task in topology.tasks.values():
        if task.exchange.name == "" and task.routing_key == name:
            yield f"task `{task.name}`"
