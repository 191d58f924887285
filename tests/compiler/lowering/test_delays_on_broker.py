"""On a broker: delays change nothing for any other message, and lead a delayed one to its place."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deploying import apply, session
from kombu.connection import Connection
from private_nodes import Broker, until

from routewright.compiler import compile_text
from routewright.compiler.executor.deploy import execute, plan_for
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.lowering.delays import ladder_for_runtime, with_delays
from routewright.compiler.model.topology import Topology
from routewright.compiler.pipeline import Compilation

pytestmark = pytest.mark.broker

EVERYTHING = (Path(__file__).parent / "delays.yaml").read_text(encoding="utf-8")
WORDS = ("", "image", "crop", "video", "rest", "kept", "other", "x", "0", "1", "tasks", "%")
KEYS = ("image.crop", "image.rotate", "a.video", "video", "kept", "other", "rest.other.x")
EXCHANGES = ("tasks", "tasks.front", "jobs", "shout.out", "sorted", "safe")

Corpus = list[tuple[str, str, Mapping[str, str]]]
"""Messages: the exchange, the key and the headers of each."""


@pytest.fixture
def connection(broker: Broker) -> Iterator[Connection]:
    with Connection(broker.url, transport_options={"confirm_publish": True}) as found:
        yield found


def compiled(text: str) -> tuple[Compilation, Topology]:
    compilation = compile_text(text)
    assert compilation.topology
    return compilation, compilation.topology


def corpus(seed: int, size: int) -> Corpus:
    """Random messages, and some with the digits of a delay before their keys."""
    chance = random.Random(seed)
    found: Corpus = []
    for _ in range(size):
        key = ".".join(chance.choices(WORDS, k=chance.randint(0, 3)))
        if chance.random() < 0.3:
            key = chance.choice(KEYS)
        if chance.random() < 0.2:
            key = ".".join([*chance.choices("01", k=25), chance.choice(WORDS), key])
        headers = {"region": "eu"} if chance.random() < 0.5 else {}
        found.append((chance.choice(EXCHANGES), key, headers))
    return found


def arrived(connection: Connection, topology: Topology) -> dict[str, set[str]]:
    """Empty every queue: what was in it, by the message's body."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    channel: Any = connection.default_channel
    for queue in topology.queues:
        while message := channel.basic_get(queue, no_ack=True):
            body = str(channel.message_to_python(message).body)
            assert queue not in found[body]
            found[body].add(queue)
    return dict(found)


def published(connection: Connection, messages: Corpus) -> None:
    producer = connection.Producer()
    for number, (exchange, key, headers) in enumerate(messages):
        producer.publish(str(number), exchange=exchange, routing_key=key, headers=dict(headers))


def test_every_other_message_reaches_what_it_reached_before(
    broker: Broker, connection: Connection
) -> None:
    _, before = compiled(EVERYTHING.replace("delays:", "#"))
    _, after = compiled(EVERYTHING)
    messages = corpus(1, 600)
    apply_topology(before, broker.url)
    published(connection, messages)
    earlier = arrived(connection, before)
    applied = apply_topology(with_delays(after), broker.url)
    assert len(applied.queues) == 26
    published(connection, messages)
    assert arrived(connection, after) == earlier
    assert len(earlier) > 300
    again = apply_topology(with_delays(after), broker.url)
    assert not again.created


def test_delayed_messages_are_on_time_and_reach_what_they_would_have_reached(
    broker: Broker, connection: Connection
) -> None:
    compilation, topology = compiled(EVERYTHING)
    apply_topology(with_delays(topology), broker.url)
    ladder = ladder_for_runtime(topology)
    assert ladder
    chance = random.Random(2)
    producer = connection.Producer()
    wanted: dict[str, set[str]] = {}
    due: dict[str, float] = {}
    of_tasks = [
        (it.exchange.name, it.routing_key, {"region": "eu"}) for it in topology.tasks.values()
    ]
    for number, (exchange, key, headers) in enumerate([*corpus(3, 150), *of_tasks]):
        if exchange not in ladder.sources:  # no task goes past the carve-out
            continue
        delay = timedelta(seconds=chance.choice([0.01, 0.1, chance.random() * 3]))
        through, longer = ladder.address(exchange, key, delay)
        due[str(number)] = time.monotonic() + delay.total_seconds()
        producer.publish(str(number), exchange=through, routing_key=longer, headers=dict(headers))
        wanted[str(number)] = set(compilation.route(exchange, key, headers).queues)
    nowhere = [body for body, queues in wanted.items() if not queues]
    wanted = {body: queues for body, queues in wanted.items() if queues}
    found: defaultdict[str, set[str]] = defaultdict(set)
    deadline = time.monotonic() + 60

    while found != wanted and time.monotonic() < deadline:
        for body, queues in arrived(connection, topology).items():
            assert not found[body] & queues
            found[body] |= queues
            assert time.monotonic() > due[body] - 0.005  # the broker counts in milliseconds
    assert found == wanted
    assert set().union(*found.values()) == topology.queues.keys()
    assert nowhere

    def all_kept() -> bool:  # never dropped; one on its way is counted twice for a moment
        rows = broker.queues("name", "messages")
        of_delays = [row["messages"] for row in rows if row["name"].startswith("media.delay")]
        return sum(of_delays) == len(nowhere)

    until(all_kept)


@pytest.mark.parametrize("made_anew", [False, True])
def test_what_is_delayed_while_its_keys_move_arrives_once(broker: Broker, made_anew: bool) -> None:
    text = """
topology: shop
exchanges: {tasks: {type: %s}}
queues:
  %s: {exchange: tasks, binding_key: video.cut}
  rest: {exchange: tasks, binding_key: rest}
delays: {resolution: 50ms, max: 10s}
tasks: {videos: {exchange: tasks, routing_key: video.cut}}
"""
    old = compiled(text % ("topic", "video"))[1]
    new = compiled(text % ("direct" if made_anew else "topic", "films"))[1]
    apply(with_delays(old), broker)
    ladder = ladder_for_runtime(old)
    assert ladder is not None
    stop, sent = threading.Event(), list[str]()

    def publish() -> None:
        with Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
            producer = connection.Producer()
            while not stop.is_set():
                delay = timedelta(milliseconds=50 * (len(sent) % 10))
                exchange, key = ladder.address("tasks", "video.cut", delay)
                producer.publish(str(len(sent)), exchange=exchange, routing_key=key)
                sent.append(str(len(sent)))

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        until(lambda: len(sent) > 100)
        with session(broker) as opened_:
            plan = plan_for(with_delays(new), opened_, allowed={"replace-exchange"})
            assert not plan.undecided
            assert not plan.violations
            assert "shop.delayed.8x50ms" in plan.carried_over
            execute(plan, opened_)
        count = len(sent)
        until(lambda: len(sent) > count + 100)
    finally:
        stop.set()
        publisher.join()
    found: list[str] = []
    with Connection(broker.url) as connection:
        channel: Any = connection.channel()

        def take() -> bool:
            for queue in ("video", "films", "shop.delay.lost"):
                while message := channel.basic_get(queue, no_ack=True):
                    found.append(f"{queue} {channel.message_to_python(message).body}")
            return len(found) >= len(sent)

        until(take)
    ends = Counter(it.partition(" ")[0] for it in found)
    assert sorted(int(it.partition(" ")[2]) for it in found) == [*range(len(sent))]
    assert ends.keys() == {"video", "films"}
