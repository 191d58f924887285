"""Random topologies and messages, with every type of exchange, and with empty words.

Each depends on the generator it is given and on nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from routewright.compiler.model.topology import PREDECLARED, Binding, Exchange, Queue, Topology
from routewright.compiler.routing.routing import Routing

WORDS = ["a", "b", ""]


def random_topology(randomly: random.Random, name: str) -> Topology:
    def some(low: int, high: int) -> range:
        return range(randomly.randint(low, high))

    names = [f"{name}.e{number}" for number in some(2, 6)]
    exchanges = {
        each: Exchange(
            each,
            randomly.choice(["direct", "topic", "topic", "fanout", "headers"]),
            internal=randomly.random() < 0.1,
            arguments={"alternate-exchange": randomly.choice([*names, "", "amq.fanout"])}
            if randomly.random() < 0.4
            else {},
        )
        for each in names
    }
    queues = {each: Queue(each) for each in (f"{name}.q{number}" for number in some(1, 6))}
    bindings: dict[object, Binding] = {}
    for _ in some(2, 15):
        source = exchanges[randomly.choice(names)]
        destination: Exchange | Queue = randomly.choice(list(queues.values()))
        if randomly.random() < 0.3:
            destination = exchanges[randomly.choice(names)]
        arguments = random_headers(randomly) if source.type == "headers" else {}
        if arguments or randomly.random() < 0.5:
            mode = randomly.choice(["all", "any", "all-with-x", "any-with-x", None])
            arguments = {**arguments, **({"x-match": mode} if mode else {})}
        wildcards = ["*", "#"] if source.type == "topic" else []
        words = [randomly.choice([*WORDS, *wildcards]) for _ in some(0, 4)]
        binding = Binding(source, destination, ".".join(words), arguments)
        bindings[binding.identity] = binding
    return Topology(name, "rabbitmq-3.x", None, exchanges, queues, tuple(bindings.values()))


def random_routings(name: str, count: int) -> Iterator[tuple[random.Random, Topology, Routing]]:
    """Random topologies, each with its routing, and with a generator that may draw more."""
    for number in range(count):
        randomly = random.Random(f"{name}/{number}")
        topology = random_topology(randomly, "t")
        yield randomly, topology, Routing(topology)


def random_headers(randomly: random.Random) -> dict[str, Any]:
    values = ["eu", "us", 1, True, 1.0, 2**40]
    names = randomly.sample(["region", "size", "x-shape"], randomly.randint(0, 3))
    return {name: randomly.choice(values) for name in names}


def random_message(randomly: random.Random, topology: Topology) -> tuple[str, str, dict[str, Any]]:
    public = [name for name, it in topology.exchanges.items() if not it.internal]
    exchange = randomly.choice([*public, ""])
    words = [randomly.choice(WORDS) for _ in range(randomly.randint(0, 4))]
    key = ".".join(words) if exchange else randomly.choice([*topology.queues, "nobody"])
    return exchange, key, random_headers(randomly)


def topology_with_predeclared(randomly: random.Random, name: str) -> Topology:
    """A random topology, some queues of which are bound to the broker's own exchanges as well."""
    topology = random_topology(randomly, name)
    bindings = {it.identity: it for it in topology.bindings}
    for source in (it for it in PREDECLARED.values() if it.name):
        for _ in range(randomly.choice((0, 0, 1, 2))):
            ends: list[Exchange | Queue] = [*topology.queues.values(), *topology.exchanges.values()]
            signs = [*WORDS, "*", "#"] if source.type == "topic" else WORDS
            key = ".".join(randomly.choice(signs) for _ in range(randomly.randint(0, 3)))
            arguments = {**random_headers(randomly), "x-match": randomly.choice(("all", "any"))}
            binding = Binding(
                source,
                randomly.choice(ends),
                key if source.type != "headers" else "",
                arguments if source.type == "headers" else {},
            )
            bindings[binding.identity] = binding
    return replace(topology, bindings=tuple(bindings.values()))


def message_to(topology: Topology, randomly: random.Random) -> tuple[str, str, dict[str, Any]]:
    """A random message, which may be for one of the broker's own exchanges that are bound."""
    exchange, key, headers = random_message(randomly, topology)
    bound = [
        name for name in PREDECLARED if any(it.source.name == name for it in topology.bindings)
    ]
    if exchange and bound and randomly.random() < 0.3:
        exchange = randomly.choice(bound)
    return exchange, key, headers
