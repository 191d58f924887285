"""Where keys go is decided by the broker; the compiler says the same."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.connection import Connection
from private_nodes import Broker
from random_topologies import WORDS, message_to, topology_with_predeclared

from routewright.compiler import compile_text
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.keys.patterns import matches, topic
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.routing import Routing

keys = st.lists(st.sampled_from(WORDS), max_size=5).map(".".join)
patterns = st.lists(st.sampled_from([*WORDS, "*", "#"]), max_size=5).map(".".join)


def brute_force(pattern: list[str], key: list[str]) -> bool:
    """The definition, word by word."""
    if not pattern:
        return not key
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(brute_force(rest, key[taken:]) for taken in range(len(key) + 1))
    return bool(key) and first in ("*", key[0]) and brute_force(rest, key[1:])


@given(patterns, keys)
def test_a_pattern_matches_what_its_definition_says(pattern: str, key: str) -> None:
    assert matches(topic(pattern), key) == brute_force(words_of(pattern), words_of(key))


def words_of(text: str) -> list[str]:
    return text.split(".") if text else []


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("*.stock.#", "usd.stock", True),
        ("*.stock.#", "euro.stock.db", True),
        ("*.stock.#", "stock.nasdaq", False),
        ("video.#", "video", True),
        ("#", "", True),
        ("*", "", False),
        ("*", "a.", False),
        ("a.*", "a.", True),
        ("a.*.b", "a..b", True),
        ("video*", "video1", False),
    ],
)
def test_the_guides_examples_and_the_corners(pattern: str, key: str, expected: bool) -> None:
    assert matches(topic(pattern), key) is expected


CHAIN = """
topology: chain
exchanges:
  front: {type: direct, alternate_exchange: tasks}
  tasks: {type: topic, alternate_exchange: rest}
  news: {type: fanout, bindings: [{exchange: tasks, binding_key: "news.#"}]}
  rest: {type: fanout}
queues:
  crop: {exchange: front, binding_key: image.crop}
  image: {exchange: tasks, binding_key: "image.#"}
  paper: {exchange: news}
  lost: {exchange: rest}
"""


@pytest.mark.parametrize(
    ("exchange", "key", "queues"),
    [
        ("front", "image.crop", ("crop",)),
        ("front", "image.rotate", ("image",)),
        ("front", "news.today", ("paper",)),
        ("front", "video", ("lost",)),
        ("tasks", "image.crop", ("image",)),
        ("", "paper", ("paper",)),
        ("", "nobody", ()),
    ],
)
def test_an_alternate_exchange_gets_what_its_exchange_routes_to_nothing(
    exchange: str, key: str, queues: tuple[str, ...]
) -> None:
    delivery = compile_text(CHAIN).route(exchange, key)
    assert delivery.queues == queues
    assert delivery.outcome == ("delivered" if queues else "unroutable")


def test_an_exchange_that_is_not_there_is_a_fate_of_its_own() -> None:
    assert compile_text(CHAIN).route("nowhere", "a").outcome is Outcome.NO_EXCHANGE


def test_a_topology_with_errors_has_no_routing() -> None:
    with pytest.raises(ValueError, match="has errors"):
        compile_text("topology: t\nqueues: {q: {exchange: nowhere}}").route("a", "b")


@pytest.mark.broker
def test_a_message_gets_to_the_queues_that_the_compiler_names(broker: Broker) -> None:
    """A sample of random topologies: every type of exchange, alternates, empty words."""
    for seed in range(10):
        randomly = random.Random(seed)
        topology = topology_with_predeclared(randomly, f"t{seed}")
        messages = [message_to(topology, randomly) for _ in range(100)]
        routing = Routing(topology)
        expected = [set(routing.route(*message).queues) for message in messages]
        assert observe(broker, topology, messages) == expected


@pytest.mark.broker
def test_numbers_in_headers_are_compared_as_numbers(broker: Broker) -> None:
    values = [1, 1.0, True, "1", 2**40, float(2**40), 0, False]
    exchange = Exchange("e", "headers")
    queues = {name: Queue(name) for name in map(repr, values)}
    bindings = tuple(
        Binding(exchange, queue, "", {"size": value})
        for queue, value in zip(queues.values(), values, strict=True)
    )
    topology = Topology("t", exchanges={"e": exchange}, queues=queues, bindings=bindings)
    messages = [("e", "", {"size": value}) for value in values]
    expected = [set(Routing(topology).route(*message).queues) for message in messages]
    assert observe(broker, topology, messages) == expected


def observe(
    broker: Broker, topology: Topology, messages: list[tuple[str, str, dict[str, Any]]]
) -> list[set[str]]:
    """The queues that got each of the messages, published to a real broker."""
    apply_topology(topology, broker.url)
    with Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        for number, (exchange, key, headers) in enumerate(messages):
            producer.publish(
                str(number), exchange=exchange, routing_key=key, headers=headers, delivery_mode=1
            )
        got: defaultdict[int, set[str]] = defaultdict(set)
        for queue in topology.queues:
            while message := connection.default_channel.basic_get(queue, no_ack=True):
                number = int(message.body or "")
                assert queue not in got[number], "a queue got a message twice"
                got[number].add(queue)
    return [got[number] for number in range(len(messages))]
