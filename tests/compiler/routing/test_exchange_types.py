"""What exchanges of plugins' types do is decided by the broker; the compiler says the same."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import amqp
import pytest
from click.testing import CliRunner
from private_nodes import Broker, RabbitMQ
from random_topologies import random_message, random_topology

from routewright.compiler import compile_text
from routewright.compiler.cli import main
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import Exchange, Topology
from routewright.compiler.rabbitmq.exchange_types import (
    CHOOSING_TYPES,
    CONSISTENT_HASH,
    RECENT_HISTORY,
)
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.routing import Routing

PLUGINS_TYPES = (*CHOOSING_TYPES, RECENT_HISTORY)

Message = tuple[str, str, dict[str, Any]]


@pytest.fixture
def plugged(plugged_rabbitmq: RabbitMQ) -> Iterator[Broker]:
    """A virtual host on a node that has the plugins."""
    vhost = plugged_rabbitmq.fresh_vhost()
    yield Broker(plugged_rabbitmq, vhost)
    plugged_rabbitmq.delete_vhost(vhost)


@contextmanager
def channel_to(broker: Broker) -> Iterator[Any]:
    address = f"127.0.0.1:{broker.node.port}"
    with amqp.Connection(address, "guest", "guest", virtual_host=broker.vhost) as connection:
        yield connection.channel()


def observed(broker: Broker, topology: Topology, messages: list[Message]) -> list[set[str]]:
    """The queues that got each of the messages."""
    apply_topology(topology, broker.url)
    got: defaultdict[int, set[str]] = defaultdict(set)
    with channel_to(broker) as channel:
        for number, (exchange, key, headers) in enumerate(messages):
            message = amqp.Message(str(number), application_headers=headers)
            channel.basic_publish(message, exchange, key)
        for queue in topology.queues:
            while message := channel.basic_get(queue, no_ack=True):
                number = int(message.body)
                assert queue not in got[number], "a queue got a message twice"
                got[number].add(queue)
    return [got[number] for number in range(len(messages))]


def with_plugins(topology: Topology, randomly: Random) -> Topology:
    """A topology some of whose exchanges have types of plugins instead."""
    exchanges = {
        name: replace(it, type=randomly.choice(PLUGINS_TYPES)) if randomly.random() < 0.5 else it
        for name, it in topology.exchanges.items()
    }
    bindings = {}
    for it in topology.bindings:
        source, end = exchanges[it.source.name], it.destination
        binding = replace(
            it,
            source=source,
            destination=exchanges[end.name] if isinstance(end, Exchange) else end,
            key="1" if source.type == CONSISTENT_HASH else it.key,
        )
        bindings[binding.identity] = binding
    return replace(topology, exchanges=exchanges, bindings=tuple(bindings.values()))


def test_a_message_has_one_of_the_fates_that_the_compiler_names(plugged: Broker) -> None:
    several = 0
    for seed in range(12):
        randomly = Random(f"plugins/{seed}")
        topology = with_plugins(random_topology(randomly, f"t{seed}"), randomly)
        messages = [random_message(randomly, topology) for _ in range(100)]
        routing = Routing(topology)
        for message, got in zip(messages, observed(plugged, topology, messages), strict=True):
            fates = [set(fate.queues) for fate in routing.deliveries(*message)]
            assert got in fates
            several += len(fates) > 1
    assert several > 100, "the sample shows too little"


SHARES = """
topology: shares
exchanges:
  shares: {type: TYPE, alternate_exchange: rest}
  inner: {type: topic, bindings: [{exchange: shares, binding_key: "1"}]}
  empty: {type: TYPE, alternate_exchange: rest}
  rest: {type: fanout}
queues:
  one: {exchange: shares, binding_key: "1"}
  two: {bindings: [{exchange: shares, binding_key: "2"}, {exchange: inner, binding_key: "#"}]}
  even: {exchange: inner, binding_key: "*.even"}
  lost: {exchange: rest}
"""


@pytest.mark.parametrize("type_", CHOOSING_TYPES)
def test_an_exchange_chooses_one_destination_and_each_is_chosen_sometimes(
    type_: str, plugged: Broker
) -> None:
    topology = shares(type_)
    messages: list[Message] = [("shares", f"{number}.even", {}) for number in range(200)]
    reach = Routing(topology).route("shares", "0.even").reach
    assert reach == (("even", "two"), ("one",), ("two",))
    assert set(map(frozenset, observed(plugged, topology, messages))) == set(map(frozenset, reach))


@pytest.mark.parametrize("type_", CHOOSING_TYPES)
def test_only_without_any_binding_the_alternate_exchange_is_asked(
    type_: str, plugged: Broker
) -> None:
    topology = shares(type_)
    assert Routing(topology).route("empty", "a").queues == ("lost",)
    assert observed(plugged, topology, [("empty", "a", {})]) == [{"lost"}]


def shares(type_: str) -> Topology:
    topology = compile_text(SHARES.replace("TYPE", type_)).topology
    assert topology is not None
    return topology


@pytest.mark.parametrize("type_", CHOOSING_TYPES)
def test_a_chosen_exchange_that_leads_nowhere_loses_the_message(
    type_: str, plugged: Broker
) -> None:
    key = '"1"'
    text = f"""
topology: nowhere
exchanges:
  shares: {{type: {type_}, alternate_exchange: rest}}
  inner: {{type: direct, bindings: [{{exchange: shares, binding_key: {key}}}]}}
  rest: {{type: fanout}}
queues: {{lost: {{exchange: rest}}, other: {{exchange: inner, binding_key: other}}}}
tasks: {{a.B: {{exchange: shares, routing_key: a}}}}
"""
    compilation = compile_text(text)
    assert compilation.topology is not None
    assert "unroutable-task" in {it.code for it in compilation.diagnostics}
    assert observed(plugged, compilation.topology, [("shares", "a", {})]) == [set()]


@pytest.mark.parametrize("weight", ["1", "+1", "07", "20", "0", "", "-1", "1.5", " 1", "1_0", "٣"])
def test_the_broker_takes_the_weights_that_the_compiler_lets_through(
    weight: str, plugged: Broker
) -> None:
    text = f"""
topology: weights
exchanges: {{shares: {{type: x-consistent-hash}}}}
queues: {{one: {{exchange: shares, binding_key: "{weight}"}}}}
"""
    refused = bool(compile_text(text).diagnostics)
    with channel_to(plugged) as channel:
        channel.exchange_declare("shares", CONSISTENT_HASH)
        channel.queue_declare("one")
        try:
            channel.queue_bind("one", "shares", weight)
        except amqp.PreconditionFailed:
            assert refused
        else:
            assert not refused


def test_every_new_binding_to_a_history_gets_the_old_messages(plugged: Broker) -> None:
    with channel_to(plugged) as channel:
        channel.exchange_declare("news", RECENT_HISTORY, auto_delete=False)
        for number in range(25):
            channel.basic_publish(amqp.Message(str(number)), "news", "k")
        channel.queue_declare("late", auto_delete=False)
        waiting = []
        for key in ("a", "a", "b"):
            channel.queue_bind("late", "news", key)
            waiting.append(channel.queue_declare("late", passive=True)[1])
    assert waiting == [20, 20, 40]


def outcome(text: str) -> set[str]:
    return {it.code for it in compile_text(text).diagnostics}


WORK = """
topology: t
exchanges:
  tasks: {type: topic}
  shares: {type: TYPE, bindings: [{exchange: tasks, binding_key: "work.#"}]}
queues:
  one: {exchange: shares, binding_key: "1"}
  two: {exchange: shares, binding_key: "1"}
tasks: {a.Work: {exchange: tasks, routing_key: work.it}}
workers: {all: {queues: [one, two]}}
"""


@pytest.mark.parametrize("type_", CHOOSING_TYPES)
def test_queues_that_share_the_work_do_not_overlap(type_: str) -> None:
    assert outcome(WORK.replace("TYPE", type_)) == set()


def test_queues_behind_a_history_all_get_a_message() -> None:
    text = WORK.replace("TYPE", "x-recent-history").replace(', binding_key: "1"', "")
    assert "task-delivered-more-than-once" in outcome(text)


def test_a_queue_that_shares_the_work_and_gets_a_copy_besides_is_told_of() -> None:
    more = WORK.replace("TYPE", "x-random").replace(
        'two: {exchange: shares, binding_key: "1"}',
        'two: {bindings: [{exchange: shares}, {exchange: tasks, binding_key: "work.it"}]}',
    )
    assert "task-delivered-more-than-once" in outcome(more)


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        ("never_both: [one, two]", True),
        ("routable: true", True),
        ("reach: [one, two]", False),
        ("reach: [one]", False),
        ("never: [two]", False),
    ],
)
def test_an_assertion_is_about_every_fate(claim: str, holds: bool) -> None:
    work = WORK.replace("TYPE", "x-random")
    text = f'{work}assertions: [{{exchange: tasks, keys: "work.#", {claim}}}]'
    assert outcome(text) == (set() if holds else {"failed-assertion"})


@pytest.mark.parametrize("behind", ["topic", "direct", "fanout", "headers"])
def test_a_delaying_exchange_routes_as_the_type_it_names(behind: str) -> None:
    key = "" if behind in ("fanout", "headers") else ", binding_key: a.b"
    template = f"""
topology: t
exchanges: {{e: {{TYPE}}}}
queues: {{q: {{bindings: [{{exchange: e{key}, arguments: {{x-match: all, size: 1}}}}]}}}}
"""
    delaying = template.replace(
        "TYPE", f"type: x-delayed-message, arguments: {{x-delayed-type: {behind}}}"
    )
    plain = template.replace("TYPE", f"type: {behind}")
    assert outcome(delaying) == outcome(plain)
    for message in (("e", "a.b", {}), ("e", "a.b", {"size": 1}), ("e", "c", {"size": 2})):
        theirs, ours = compile_text(plain).route(*message), compile_text(delaying).route(*message)
        assert (ours.queues, ours.outcome) == (theirs.queues, theirs.outcome)


def test_a_delaying_exchange_may_stand_for_another_plugins_type() -> None:
    text = WORK.replace(
        "type: TYPE", "type: x-delayed-message, arguments: {x-delayed-type: x-random}"
    )
    assert compile_text(text).route("tasks", "work.it").reach == (("one",), ("two",))


def test_of_other_types_all_is_said_that_is_possible() -> None:
    delivery = compile_text(WORK.replace("TYPE", "x-jms-topic")).route("tasks", "work.it")
    assert delivery.outcome is Outcome.UNDECIDED
    assert (delivery.queues, delivery.possible) == ((), ("one", "two"))


def test_where_there_are_too_many_ways_it_is_undecided() -> None:
    stages = 11
    exchanges = "".join(
        f"  e{n}: {{type: x-random, bindings: [{{exchange: e{n - 1}}}, {{exchange: f{n - 1}}}]}}\n"
        f"  f{n}: {{type: x-random, bindings: [{{exchange: e{n - 1}}}, {{exchange: f{n - 1}}}]}}\n"
        for n in range(1, stages)
    )
    text = f"""
topology: t
exchanges:
  e0: {{type: x-random}}
  f0: {{type: x-random}}
{exchanges}
queues: {{q: {{exchange: e{stages - 1}}}}}
tasks: {{a.B: {{exchange: e0}}}}
"""
    compilation = compile_text(text)
    delivery = compilation.route("e0", "")
    assert (delivery.outcome, delivery.possible) == (Outcome.UNDECIDED, ("q",))
    assert "undecided-route" in {it.code for it in compilation.diagnostics}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("topology.yaml").write_text(WORK.replace("TYPE", "x-consistent-hash"))
    Path("before.yaml").write_text(WORK.replace("TYPE", "fanout").replace(', binding_key: "1"', ""))


def run(*arguments: str) -> str:
    return CliRunner().invoke(main, arguments, catch_exceptions=False).output


@pytest.mark.usefixtures("files")
def test_explain_names_the_queues_of_which_one_gets_the_message() -> None:
    assert run("explain", "a.Work").splitlines() == [
        "task a.Work: `work.it` to exchange `tasks` (topic)",
        "├── `work.#` -> exchange `shares` (x-consistent-hash)",
        "│   ├── one of these, weight 1 -> queue `one`, consumed by `all`",
        "│   └── one of these, weight 1 -> queue `two`, consumed by `all`",
        "└── all in all: one of `one`, `two`",
    ]
    told = json.loads(run("explain", "a.Work", "--format", "json"))
    assert (told["queues"], told["outcome"]) == ([], "one-of")
    assert told["one_of"] == [["one"], ["two"]]
    assert told["possible"] == ["one", "two"]
    assert told["consumers"] == {"one": ["all"], "two": ["all"]}


@pytest.mark.usefixtures("files")
def test_diff_tells_a_copy_for_each_from_one_for_all() -> None:
    assert "`one`, `two` before, one of `one`, `two` after" in run(
        "diff", "before.yaml", "topology.yaml"
    )
    found = json.loads(run("diff", "topology.yaml", "before.yaml", "--format", "json"))
    assert {it["kind"] for it in found["differences"]} == {"doubled"}
    assert run("diff", "topology.yaml", "topology.yaml").startswith("equivalent")


DEAD = """
topology: dead
exchanges:
  tasks: {type: topic}
  dead: {type: x-random}
  inner: {type: direct, bindings: [{exchange: dead}]}
queues:
  work: {exchange: tasks, binding_key: work, message_ttl: 1m, dead_letter: {exchange: dead}}
  kept: {exchange: dead}
  other: {exchange: inner, binding_key: KEY}
tasks: {a.Work: {exchange: tasks, routing_key: work}}
"""


def test_dead_letters_that_may_be_chosen_to_go_nowhere_are_told_of() -> None:
    assert "dead-letter-goes-nowhere" in outcome(DEAD.replace("KEY", "other"))
    assert "dead-letter-goes-nowhere" not in outcome(DEAD.replace("KEY", "work"))


def test_a_round_that_dead_letters_may_be_chosen_to_go_is_told_of() -> None:
    back = DEAD.replace("KEY", "work").replace(
        "exchange: tasks, binding_key: work,",
        "bindings: [{exchange: tasks, binding_key: work}, {exchange: dead}],",
    )
    assert "dead-letter-loop-drops" in outcome(back)
    assert "dead-letter-loop-drops" not in outcome(DEAD.replace("KEY", "work"))


def test_keys_are_not_carved_out_of_what_an_exchange_chooses() -> None:
    text = """
topology: t
exchanges:
  tasks: {type: topic}
  shares: {type: x-random, bindings: [{exchange: tasks, binding_key: "work.#"}]}
queues:
  image: {exchange: tasks, binding_key: "image.#"}
  one: {bindings: [{exchange: shares}, {exchange: tasks, binding_key: "one.#"}]}
  two: {exchange: shares}
  part: {carve_out_of: WHOLE, exchange: tasks, binding_key: KEY}
"""
    assert outcome(text.replace("WHOLE", "one").replace("KEY", "work.x")) == {
        "impossible-carve-out"
    }
    sound = compile_text(text.replace("WHOLE", "image").replace("KEY", "image.x"))
    assert sound.diagnostics == ()
    assert sound.route("tasks.front", "work.x").reach == (("one",), ("two",))


def test_a_router_knows_that_it_cannot_know_the_queue() -> None:
    router = compile_text(WORK.replace("TYPE", "x-modulus-hash")).files["router.py"]
    assert 'queues=("one", "two")' in router
    assert "varies=True" in router
