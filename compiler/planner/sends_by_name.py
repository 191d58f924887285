"""What sends messages to a queue or an exchange by its name, and not by a binding.

Nothing can lead such a message elsewhere while the thing is made anew: RabbitMQ has no step that
puts one queue or exchange in the place of another. Exchanges that have another one as their
alternate are not among these: the routing core says what becomes of their keys.
"""

from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.model.topology import Exchange, Queue, Topology


def senders(to: Exchange | Queue, *topologies: Topology) -> tuple[str, ...]:
    """What would send messages to something by its name, in words."""
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
