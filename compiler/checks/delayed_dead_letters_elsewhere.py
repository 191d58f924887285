from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, words
from routewright.compiler.lowering.delay_landing import with_default_bindings
from routewright.compiler.model.task_keys import keys_of, placeholders
from routewright.compiler.model.topology import Binding, Queue, Task, Topology
from routewright.compiler.rabbitmq.targets import VIRTUAL
from routewright.compiler.routing.delivery import Delivery
from routewright.compiler.routing.routing import Routing
from routewright.runtime.router.delay_ladder import source_word


def delayed_dead_letters_elsewhere(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A queue's dead letters go elsewhere where their messages had been delayed.

    A delayed message keeps the digits of its delay before its key. A queue whose dead letters have
    no routing key of their own passes it on with that longer key, which bindings behind its
    dead-letter exchange may not match, or not match alike.
    """
    if topology.delays is None or topology.target in VIRTUAL:
        return
    deliveries = _BothDeliveries(topology, topology.delays.bits)
    sent: defaultdict[str, list[Task]] = defaultdict(list)
    for task in topology.tasks.values():
        for name in routing.reach(task):
            sent[name].append(task)
    for queue in topology.queues.values():
        if queue.dead_letter_exchange and queue.dead_letter_routing_key is None:
            found = _first(deliveries, queue, sent[queue.name])
            if found:
                yield found


def _first(deliveries: _BothDeliveries, queue: Queue, tasks: Iterable[Task]) -> Diagnostic | None:
    try:
        for task in tasks:
            for key, was, now in deliveries.of(queue, task):
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
            f"whether dead letters of queue `{queue.name}` go to the same place after a delay is "
            "undecided",
        )
    return None


@dataclass(frozen=True, slots=True)
class _Step:
    """A binding on the way of a message: to the queue, or as a dead letter."""

    way: Literal["there", "dead", "delayed"]
    binding: Binding


class _BothDeliveries:
    """Returns the way of dead letters, and that of dead letters whose messages had been delayed."""

    def __init__(self, topology: Topology, bits: int) -> None:
        self._routing = Routing(with_default_bindings(topology))
        # Any delay will do; of the shortest one the digits are these.
        self._digits: Pattern = (*"0" * (bits - 1), "1")
        self._tables: dict[tuple[str, str, str], PatternTable[_Step]] = {}

    def of(self, queue: Queue, task: Task) -> Iterator[tuple[str, Delivery, Delivery]]:
        """Yields each class of a task's keys that reach a queue, with both deliveries."""
        source, dead = task.exchange.name, queue.dead_letter_exchange or ""
        ahead: Pattern = (*self._digits, source_word(source))
        for key, steps in self._classes(task, ahead, self._table(task, dead, ahead)):
            ways: dict[str, list[Binding]] = {"there": [], "dead": [], "delayed": []}
            for step in steps:
                ways[step.way].append(step.binding)
            if queue.name in self._routing.deliver(source, ways["there"]).queues:
                was, now = (self._routing.deliver(dead, ways[it]) for it in ("dead", "delayed"))
                yield key, was, now

    def _table(self, task: Task, dead: str, ahead: Pattern) -> PatternTable[_Step]:
        which = (task.exchange.name, dead, repr(task.headers))
        table = self._tables.get(which)
        if table is None:
            table = self._tables[which] = PatternTable()
            for pattern, binding in self._routing.graph.cone(task.exchange.name, task.headers):
                table.add((*ahead, *pattern), _Step("there", binding))
            for pattern, binding in self._routing.graph.cone(dead, {}):
                table.add((*ahead, *pattern), _Step("dead", binding))
                table.add(pattern, _Step("delayed", binding))
        return table

    @staticmethod
    def _classes(
        task: Task, ahead: Pattern, table: PatternTable[_Step]
    ) -> Iterator[tuple[str, Iterable[_Step]]]:
        if not placeholders(task.routing_key):
            key = task.routing_key
            yield key, table.lookup(".".join([*map(str, ahead), *words(key)]))
            return
        for keys in keys_of(task):
            apart = [(*ahead, *it) for it in keys.apart]
            for found in key_classes(table, [(*ahead, *keys.within)], apart):
                yield ".".join(words(found.witness)[len(ahead) :]), found.values


def _warning(queue: Queue, message: str, key: str | None = None) -> Diagnostic:
    return warning(
        "delayed-dead-letters-elsewhere",
        message,
        queue.argument_span("x-dead-letter-exchange"),
        help="give the queue's dead letters a routing key, or use a fanout exchange for them",
        witness=key,
    )


def _listed(delivery: Delivery) -> str:
    return ", ".join(f"`{name}`" for name in delivery.queues) or "no queue"
