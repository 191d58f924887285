from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from routewright.compiler.delay_landing import with_default_bindings
from routewright.compiler.delay_proof import before_key
from routewright.compiler.diagnostics import Diagnostic, Severity
from routewright.compiler.keyspace import key_classes
from routewright.compiler.patterns import Pattern, Undecided, words
from routewright.compiler.routing import Delivery, Routing
from routewright.compiler.table import PatternTable
from routewright.compiler.targets import VIRTUAL
from routewright.compiler.templates import keys_of
from routewright.compiler.topology import Binding, Queue, Task, Topology


def delayed_dead_letters_elsewhere(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A queue's dead letters go elsewhere where their messages had been delayed.

    A delayed message keeps the digits of its delay before its key. A queue whose dead letters have
    no routing key of their own passes it on with that longer key, which bindings behind its
    dead-letter exchange may not match, or not match alike.
    """
    if topology.delays is None or topology.target in VIRTUAL:
        return
    named = Routing(with_default_bindings(topology))
    for queue in topology.queues.values():
        if queue.dead_letter_exchange and queue.dead_letter_routing_key is None:
            found = _first(topology, named, queue, topology.delays.bits)
            if found:
                yield found


def _first(topology: Topology, routing: Routing, queue: Queue, bits: int) -> Diagnostic | None:
    for task in topology.tasks.values():
        if queue.name not in routing.reach(task):
            continue
        try:
            for key, was, now in _fates(routing, queue, task, bits):
                if was.queues != now.queues:
                    return _warning(
                        queue,
                        f"a dead letter of queue `{queue.name}` with the key `{key}` reaches "
                        f"{_listed(was)} from exchange `{queue.dead_letter_exchange}`, and "
                        f"{_listed(now)} if it had been delayed",
                        key,
                    )
        except Undecided:
            return _warning(
                queue,
                f"whether dead letters of queue `{queue.name}` go to the same place after a delay "
                "is undecided",
            )
    return None


@dataclass(frozen=True, slots=True)
class _Step:
    """A binding on the way of a message: to the queue, or as a dead letter."""

    way: Literal["there", "dead", "delayed"]
    binding: Binding


def _fates(
    routing: Routing, queue: Queue, task: Task, bits: int
) -> Iterator[tuple[str, Delivery, Delivery]]:
    """For each class of a task's keys that reach a queue: a dead letter's fate, and a delayed."""
    source, dead = task.exchange.name, queue.dead_letter_exchange or ""
    # Any delay will do; of the shortest one the digits are these.
    ahead: Pattern = (*"0" * (bits - 1), "1", before_key(bits, source)[-1])
    table: PatternTable[_Step] = PatternTable()
    for pattern, binding in routing.cone(source, task.headers):
        table.add((*ahead, *pattern), _Step("there", binding))
    for pattern, binding in routing.cone(dead, {}):
        table.add((*ahead, *pattern), _Step("dead", binding))
        table.add(pattern, _Step("delayed", binding))
    for keys in keys_of(task):
        within = [(*ahead, *keys.within)]
        for found in key_classes(table, within, [(*ahead, *it) for it in keys.apart]):
            ways: dict[str, list[Binding]] = {"there": [], "dead": [], "delayed": []}
            for step in found.values:
                ways[step.way].append(step.binding)
            if queue.name in routing.deliver(source, ways["there"]).queues:
                key = ".".join(words(found.witness)[len(ahead) :])
                delayed = routing.deliver(dead, ways["delayed"])
                yield key, routing.deliver(dead, ways["dead"]), delayed


def _warning(queue: Queue, message: str, key: str | None = None) -> Diagnostic:
    return Diagnostic(
        "delayed-dead-letters-elsewhere",
        message,
        queue.argument_span("x-dead-letter-exchange"),
        help="give the queue's dead letters a routing key, or use a fanout exchange for them",
        severity=Severity.WARNING,
        witness=key,
    )


def _listed(delivery: Delivery) -> str:
    return ", ".join(f"`{name}`" for name in delivery.queues) or "no queue"
