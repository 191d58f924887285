"""Where the dead letters of random topologies go, against brute force, for all short keys."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import amqp
import pytest
from brute_force import BruteForce
from private_nodes import Broker, until
from seeds import numbers

from routewright.compiler.analysis.compare import compare
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import (
    PREDECLARED,
    Binding,
    Exchange,
    Queue,
    Task,
    Topology,
)
from routewright.compiler.routing.dead_letters import DeadLetters
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.entry_points import publishing
from routewright.compiler.routing.keys_into import KeysInto
from routewright.compiler.routing.routing import Routing

QUEUES = ("q", "r", "s", "t")
WORDS = ("a", "b", "")
OTHER = "zz"  # stands for all the words that no pattern names
KEYS = [
    "",
    *QUEUES,
    *(".".join(it) for n in (1, 2, 3) for it in product((*WORDS, OTHER), repeat=n)),
]


def random_topology(randomly: random.Random) -> Topology:
    """Queues that dead-letter to exchanges and to each other by name, with keys and without."""
    names = [f"e{number}" for number in range(randomly.randint(2, 4))]
    exchanges = {
        name: Exchange(
            name,
            randomly.choice(("topic", "topic", "direct", "fanout")),
            arguments={"alternate-exchange": randomly.choice(names)}
            if randomly.random() < 0.3
            else {},
        )
        for name in names
    }
    queues = {
        name: Queue(name, arguments=_dead_letter(randomly, names))
        for name in QUEUES[: randomly.randint(2, 4)]
    }
    bindings: dict[object, Binding] = {}
    for _ in range(randomly.randint(2, 9)):
        source = exchanges[randomly.choice(names)]
        ends = list((queues if randomly.random() < 0.7 else exchanges).values())
        wild = ("*", "#") if source.type == "topic" else ()
        words = randomly.choices((*WORDS, *wild), k=randomly.randint(0, 2))
        binding = Binding(source, randomly.choice(ends), ".".join(words))
        bindings[binding.identity] = binding
    return Topology(
        "random",
        exchanges=exchanges,
        queues=queues,
        bindings=tuple(bindings.values()),
        tasks={
            name: Task(name, exchanges[names[0]], randomly.choice(("a", "b.a")))
            if randomly.random() < 0.5
            else Task(name, PREDECLARED[""], randomly.choice(list(queues)))
            for name in ("one", "two")[: randomly.randint(0, 2)]
        },
    )


def _dead_letter(randomly: random.Random, names: list[str]) -> dict[str, str]:
    if randomly.random() < 0.3:
        return {}
    exchange = randomly.choice((*names, ""))
    keys = QUEUES if not exchange else ("a", "b.a", "b")
    key = {"x-dead-letter-routing-key": randomly.choice(keys)} if randomly.random() < 0.5 else {}
    return {"x-dead-letter-exchange": exchange, **key}


def messages(topology: Topology, slow: BruteForce, routing: Routing) -> set[tuple[str, str]]:
    """The queues that messages with short keys get to, and the keys that they have there."""
    published, by_name = publishing(topology, routing)
    met = {(name, name) for name in by_name}
    met |= {(name, key) for it in published for key in KEYS for name in slow.queues(it, key, {})}
    waiting = list(met)
    while waiting:
        queue, key = waiting.pop()
        exchange = topology.queues[queue].dead_letter_exchange
        own = topology.queues[queue].dead_letter_routing_key
        key = key if own is None else own
        found = slow.queues(exchange, key, {}) if exchange is not None else set()
        new = {(name, key) for name in found} - met
        met |= new
        waiting += new
    return met


def as_short(key: str) -> str:
    """The key that brute force tries in place of one with a word that no pattern names."""
    if key in QUEUES or not key:
        return key
    return ".".join(word if word in WORDS else OTHER for word in key.split("."))


@pytest.mark.parametrize("number", numbers(30, 150))
def test_what_is_said_of_dead_letters_is_so_for_every_short_key(number: int) -> None:
    topology = random_topology(random.Random(f"dead/{number}"))
    slow, routing = BruteForce(topology), Routing(topology)
    met, dead_letters = messages(topology, slow, routing), DeadLetters(routing)
    for queue in topology.queues.values():
        exchange = queue.dead_letter_exchange
        if exchange is None or queue.name not in {name for name, _ in met}:
            continue
        keys = {key for name, key in met if name == queue.name}
        if queue.dead_letter_routing_key is not None:
            keys = {queue.dead_letter_routing_key}
        lost = {key for key in keys if not slow.queues(exchange, key, {})}
        routes = dead_letters.routes(queue)
        said = {as_short(key) for key, it in routes if it.outcome is Outcome.UNROUTABLE}
        assert bool(lost) == bool(said)
        for key, delivery in routes:
            assert set(delivery.queues) == slow.queues(exchange, key, {})
            assert len(key.split(".")) > 3 or as_short(key) in keys


@pytest.mark.parametrize("number", numbers(30, 150))
def test_a_queue_is_reached_when_some_short_key_gets_there(number: int) -> None:
    topology = random_topology(random.Random(f"dead/{number}"))
    routing = Routing(topology)
    met = messages(topology, BruteForce(topology), routing)
    ways = KeysInto(routing.graph, *publishing(topology, routing))
    assert ways.reached == {name for name, _ in met}


@pytest.mark.parametrize("number", numbers(30, 150))
def test_dead_letters_that_go_elsewhere_are_those_of_some_short_key(number: int) -> None:
    randomly = random.Random(f"compared/{number}")
    old = random_topology(randomly)
    names = list(old.exchanges)
    new = with_queues(
        old,
        {
            name: replace(it, arguments=_dead_letter(randomly, names))
            for name, it in old.queues.items()
        },
    )
    slow = {id(it): BruteForce(it) for it in (old, new)}
    met = messages(old, slow[id(old)], Routing(old)) | messages(new, slow[id(new)], Routing(new))

    def reach(topology: Topology, name: str, key: str) -> tuple[str, ...]:
        queue = topology.queues[name]
        own, exchange = queue.dead_letter_routing_key, queue.dead_letter_exchange
        if exchange is None:
            return ()
        return tuple(sorted(slow[id(topology)].queues(exchange, key if own is None else own, {})))

    expected = {(name, reach(old, name, key), reach(new, name, key)) for name, key in met}
    comparison = compare(old, new)
    assert not comparison.undecided_dead_letters
    assert {(it.queue, it.before, it.after) for it in comparison.dead_letters} == {
        (name, was, now) for name, was, now in expected if was != now
    }
    for it in comparison.dead_letters:
        assert reach(old, it.queue, it.witness) == it.before
        assert reach(new, it.queue, it.witness) == it.after


def with_queues(topology: Topology, queues: dict[str, Queue]) -> Topology:
    """The same topology, with other queues under the names."""
    bindings = (
        replace(it, destination=queues.get(it.destination.name, it.destination))
        if isinstance(it.destination, Queue)
        else it
        for it in topology.bindings
    )
    return replace(topology, queues=queues, bindings=tuple(bindings))


@pytest.mark.broker
@pytest.mark.parametrize("number", range(8))
def test_expired_messages_end_on_a_broker_where_the_compiler_says(
    broker: Broker, number: int
) -> None:
    """Queues with a dead-letter exchange give every message up after a millisecond."""
    randomly = random.Random(f"expiring/{number}")
    topology = random_topology(randomly)
    topology = with_queues(
        topology,
        {
            name: it
            if it.dead_letter_exchange is None
            else replace(it, arguments={**it.arguments, "x-message-ttl": 1})
            for name, it in topology.queues.items()
        },
    )
    apply_topology(topology, broker.url)
    routing = Routing(topology)
    expected: Counter[tuple[str, str, str]] = Counter()
    with amqp.Connection(
        f"127.0.0.1:{broker.node.port}", "guest", "guest", virtual_host=broker.vhost
    ) as connection:
        channel: Any = connection.channel()
        for body in map(str, range(40)):
            exchange = randomly.choice([*topology.exchanges, ""])
            key = randomly.choice(KEYS if exchange else list(topology.queues))
            channel.basic_publish(amqp.Message(body), exchange, key)
            ends = expired(topology, routing, routing.route(exchange, key).queues, key)
            expected.update((name, body, its_key) for name, its_key in ends)

        def waiting(name: str) -> int:
            return int(channel.queue_declare(name, passive=True)[1])

        kept = {name for name, it in topology.queues.items() if it.dead_letter_exchange is None}
        dying = topology.queues.keys() - kept
        until(lambda: sum(map(waiting, kept)) == expected.total() and not any(map(waiting, dying)))
        found: Counter[tuple[str, str, str]] = Counter()
        for name in kept:
            while message := channel.basic_get(name, no_ack=True):
                found[name, message.body, message.delivery_info["routing_key"]] += 1
    assert found == expected


def expired(
    topology: Topology, routing: Routing, queues: tuple[str, ...], key: str
) -> Iterator[tuple[str, str]]:
    """The queues where copies of a message stay, and their keys; nobody rejects any."""
    waiting: list[tuple[str, str, tuple[str, ...]]] = [(name, key, ()) for name in queues]
    while waiting:
        name, key, deaths = waiting.pop()
        queue = topology.queues[name]
        if name in deaths:
            continue  # dropped: it has come round
        if queue.dead_letter_exchange is None:
            yield name, key
            continue
        own = queue.dead_letter_routing_key
        key = key if own is None else own
        onward = routing.route(queue.dead_letter_exchange, key).queues
        waiting += [(it, key, (*deaths, name)) for it in onward]
