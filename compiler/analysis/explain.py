"""The way of one message, hop by hop: what `routewright explain` shows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from rich.tree import Tree

from routewright.compiler.analysis.dead_letter_trace import DeadLetter, trace_dead_letters
from routewright.compiler.analysis.paths import how
from routewright.compiler.lowering.delays import ladder_for_runtime
from routewright.compiler.model.topology import Exchange, Queue, Task, Topology
from routewright.compiler.rabbitmq.targets import VIRTUAL
from routewright.compiler.routing.delivery import Delivery, Hop, Outcome, Reach, combined, listed
from routewright.compiler.routing.routing import Routing, headers_of


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where one message goes, and where it would go from the queues it reaches."""

    exchange: str
    routing_key: str
    delivery: Delivery
    dead_letters: Mapping[str, DeadLetter]
    task: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)  # those that were asked for


def explain_task(topology: Topology, routing: Routing, task: Task) -> list[Explanation]:
    """The ways of a task's messages: one for each set of queues that its keys may reach."""
    ways: dict[Reach, Explanation] = {}
    for key, deliveries in groupby(routing.deliveries_of(task), itemgetter(0)):
        delivery = combined([it for _, it in deliveries])
        if delivery.reach not in ways:
            dead = trace_dead_letters(topology, routing, delivery, key, headers_of(task))
            ways[delivery.reach] = Explanation(task.exchange.name, key, delivery, dead, task.name)
    return list(ways.values())


def explain_key(
    topology: Topology,
    routing: Routing,
    exchange: str,
    key: str,
    headers: Mapping[str, Any] | None = None,
) -> Explanation:
    """The way of a message with a routing key, and no headers but these."""
    headers = headers or {}
    delivery = routing.route(exchange, key, headers)
    dead = trace_dead_letters(topology, routing, delivery, key, headers)
    return Explanation(exchange, key, delivery, dead, headers=headers)


def as_json(ways: list[Explanation], topology: Topology) -> str:
    """The explanation for programs; of a task whose key has placeholders, further `ways` too."""
    first, *others = (_fields(way, topology) for way in ways)
    return json.dumps({**first, **({"ways": [first, *others]} if others else {})}, indent=2)


def _fields(explanation: Explanation, topology: Topology) -> dict[str, Any]:
    return {
        **({"task": explanation.task} if explanation.task else {}),
        "exchange": explanation.exchange,
        "routing_key": explanation.routing_key,
        **({"headers": dict(explanation.headers)} if explanation.headers else {}),
        **_delivery_fields(explanation.delivery),
        "consumers": {name: _consumers(topology, name) for name in explanation.delivery.may_reach},
        "dead_letters": _dead_letter_fields(explanation.dead_letters),
    }


def _delivery_fields(delivery: Delivery) -> dict[str, Any]:
    return {
        "queues": list(delivery.queues),
        "outcome": str(delivery.outcome),
        **({"one_of": delivery.one_of} if delivery.one_of else {}),
        **({"possible": delivery.possible} if delivery.possible else {}),
        "hops": [
            {
                "exchange": hop.exchange,
                "destination": hop.destination.name,
                "destination_type": _kind(hop.destination),
                "by": _by(hop),
                **({"binding_key": hop.binding.key} if hop.binding else {}),
            }
            for hop in delivery.hops
        ],
    }


def _dead_letter_fields(dead_letters: Mapping[str, DeadLetter]) -> dict[str, Any]:
    return {
        queue: {
            "exchange": dead.exchange,
            "routing_key": dead.routing_key,
            **({"policy": dead.policy} if dead.policy else {}),
            **(_delivery_fields(dead.delivery) if dead.delivery else {"outcome": "cycle"}),
            "dead_letters": _dead_letter_fields(dead.from_there),
        }
        for queue, dead in dead_letters.items()
    }


def as_tree(explanation: Explanation, topology: Topology) -> Tree:
    """The explanation for people."""
    what = f"task {explanation.task}: " if explanation.task else ""
    headers = f" with headers {dict(explanation.headers)}" if explanation.headers else ""
    where = _published(explanation.exchange, explanation.routing_key, topology)
    tree = Tree(f"{what}{where}{headers}")
    _grow(tree, explanation.exchange, explanation.delivery, explanation.dead_letters, topology)
    if explanation.delivery.outcome not in (Outcome.DELIVERED, Outcome.ONE_OF):
        tree.add(_end(_ENDS, explanation.delivery))
    ladder = ladder_for_runtime(topology) if explanation.task else None
    if ladder is not None and topology.target not in VIRTUAL:
        longest, step = (timedelta(milliseconds=it) for it in (ladder.max, ladder.resolution))
        steps = f"in steps of {step.total_seconds():g} s"
        tree.add(f"later, by {longest} at most {steps}: by exchange `{ladder.exchange}`, likewise")
    return tree


def _grow(
    tree: Tree,
    exchange: str,
    delivery: Delivery,
    dead_letters: Mapping[str, DeadLetter],
    topology: Topology,
) -> None:
    leaving: defaultdict[str, list[Hop]] = defaultdict(list)
    for hop in delivery.hops:
        leaving[hop.exchange].append(hop)
    _grow_exchange(tree, exchange, leaving, dead_letters, topology, set(), set())
    if delivery.outcome is Outcome.ONE_OF:
        tree.add(f"all in all: {listed(delivery.one_of)}")


def _grow_exchange(
    tree: Tree,
    exchange: str,
    leaving: Mapping[str, list[Hop]],
    dead_letters: Mapping[str, DeadLetter],
    topology: Topology,
    seen: set[str],
    filled: set[str],
) -> None:
    seen.add(exchange)
    for hop in leaving.get(exchange, ()):
        name = hop.destination.name
        if isinstance(hop.destination, Queue):
            again = ", which has it already" if name in filled else ""
            filled.add(name)
            branch = tree.add(f"{how(hop)} -> queue `{name}`{again or _who(topology, name)}")
            if not again and name in dead_letters:
                _grow_dead_letter(branch, dead_letters[name], topology)
        elif name in seen:
            tree.add(f"{how(hop)} -> exchange `{name}`, which has seen it already")
        else:
            branch = tree.add(f"{how(hop)} -> exchange `{name}` ({hop.destination.type})")
            _grow_exchange(branch, name, leaving, dead_letters, topology, seen, filled)


def _grow_dead_letter(tree: Tree, dead: DeadLetter, topology: Topology) -> None:
    where = _published(dead.exchange, dead.routing_key, topology)
    if dead.policy:
        where += f", says policy `{dead.policy}`"
    if dead.delivery is None:
        tree.add(f"given up on: {where}, and round again")
        return
    branch = tree.add(f"given up on: {where}")
    _grow(branch, dead.exchange, dead.delivery, dead.from_there, topology)
    if dead.delivery.outcome not in (Outcome.DELIVERED, Outcome.ONE_OF):
        branch.add(_end(_DEAD_LETTER_ENDS, dead.delivery))


_ENDS = {
    Outcome.UNROUTABLE: "no queue: the broker returns a mandatory message and drops any other",
    Outcome.UNDECIDED: "and perhaps more: a plugin's exchange decides by rules of its own",
    Outcome.NO_EXCHANGE: "no such exchange: the broker closes the channel",
}
_DEAD_LETTER_ENDS = {
    Outcome.UNROUTABLE: "no queue: the broker drops it",
    Outcome.UNDECIDED: "and perhaps more: a plugin's exchange decides, or headers that the broker "
    "gives dead letters",
    Outcome.NO_EXCHANGE: "no such exchange: the broker drops it",
}


def _end(ends: Mapping[Outcome, str], delivery: Delivery) -> str:
    behind = ", ".join(f"`{name}`" for name in delivery.possible)
    return ends[delivery.outcome] + (f"; behind it: {behind}" if behind else "")


def _published(exchange: str, key: str, topology: Topology) -> str:
    known = topology.exchange(exchange)
    kind = f" ({known.type})" if known and exchange else ""
    name = f"exchange `{exchange}`{kind}" if exchange else "the default exchange"
    return f"`{key}` to {name}"


def _kind(destination: Exchange | Queue) -> str:
    return "queue" if isinstance(destination, Queue) else "exchange"


def _by(hop: Hop) -> str:
    if hop.binding:
        return "binding"
    return "alternate" if hop.exchange else "default"


def _consumers(topology: Topology, queue: str) -> list[str]:
    return [
        name
        for name, group in topology.groups.items()
        if any(it.name == queue for it in group.queues)
    ]


def _who(topology: Topology, queue: str) -> str:
    groups = _consumers(topology, queue)
    if groups:
        return f", consumed by {', '.join(f'`{group}`' for group in groups)}"
    return ", a tap" if topology.queues[queue].tap else ""
