"""An apply makes the broker match, may be repeated, and finds every conflict before it changes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from emitting import emitted
from kombu.connection import Connection
from private_nodes import Broker

from routewright.compiler.broker.errors import ConflictsFound
from routewright.compiler.emit import Stamp
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology

pytestmark = pytest.mark.broker

Declared = Callable[[Broker], dict[str, Any]]


def _emitted(topology: Topology) -> dict[str, Any]:
    """The topology in the shape that the broker exports."""
    files = emitted(topology, Stamp("t.yaml", "sha256:0", "0"))
    sections = json.loads(files["definitions.json"])
    return {
        section: sorted(
            ({key: row[key] for key in row if key != "vhost"} for row in sections[section]),
            key=repr,
        )
        for section in ("exchanges", "queues", "bindings")
    }


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    def plain(sections: dict[str, Any]) -> Any:
        return {
            name: sorted((sorted(row.items(), key=str) for row in rows), key=str)
            for name, rows in sections.items()
        }

    return bool(plain(one) == plain(other))


def test_a_second_apply_has_nothing_to_do(
    broker: Broker, media: Topology, declared: Declared
) -> None:
    first = apply_topology(media, broker.url)
    assert first.exchanges == ("lost", "tasks")  # the alternate exchange before its user
    assert first.queues == ("image", "video")
    assert len(first.bindings) == 4
    assert str(first) == "created 2 exchanges, 2 queues and 4 bindings"
    there = declared(broker)
    assert _same(there, _emitted(media))

    second = apply_topology(media, broker.url)
    assert not second.created
    assert str(second) == (
        "nothing to do: 2 exchanges and 2 queues are as declared; 4 bindings confirmed"
    )
    assert declared(broker) == there


def test_an_apply_makes_what_is_missing(
    broker: Broker, media: Topology, declared: Declared
) -> None:
    apply_topology(media, broker.url)
    with Connection(broker.url) as connection:
        connection.channel().queue_delete("image")

    repaired = apply_topology(media, broker.url)
    assert repaired.exchanges == ()
    assert repaired.queues == ("image",)
    assert {binding.destination.name for binding in repaired.bindings} == {"image"}
    assert str(repaired) == "created 1 queue and 2 bindings; 2 bindings confirmed"
    assert _same(declared(broker), _emitted(media))


@pytest.mark.parametrize("seed", range(12))
def test_what_is_applied_is_what_the_broker_lists(
    broker: Broker, declared: Declared, random_topology: Callable[[int], Topology], seed: int
) -> None:
    topology = random_topology(seed)
    apply_topology(topology, broker.url)
    there = declared(broker)
    assert _same(there, _emitted(topology))
    assert not apply_topology(topology, broker.url).created
    assert declared(broker) == there


def test_all_conflicts_are_told_at_once_and_nothing_is_changed(
    broker: Broker, media: Topology, declared: Declared
) -> None:
    tasks = Exchange("tasks", "direct")
    queues = {
        "video": Queue("video", arguments={"x-max-priority": 5}),
        "image": Queue("image", arguments={"x-message-ttl": 1000}),
    }
    apply_topology(Topology("old", exchanges={"tasks": tasks}, queues=queues), broker.url)
    before = declared(broker)

    with pytest.raises(ConflictsFound) as found:
        apply_topology(media, broker.url)
    told = [
        (it.kind, it.name, it.argument, it.broker_value, it.wanted_value)
        for it in found.value.conflicts
    ]
    assert told == [
        ("exchange", "tasks", "type", "direct", "topic"),
        ("queue", "image", "x-message-ttl", "1000", "60000"),
        # Of several arguments the broker names one; the dead-letter exchange differs as well.
        ("queue", "video", "x-dead-letter-exchange", None, "tasks"),
    ]
    assert str(found.value.conflicts[2]) == (
        "queue `video`: `x-dead-letter-exchange` is not set on the broker "
        "and `tasks` in the topology"
    )
    assert declared(broker) == before  # not even exchange `lost`, which is in nobody's way


@pytest.mark.parametrize(
    ("there", "wanted", "told"),
    [
        (Queue("q"), Queue("q", durable=False), ("durable", "true", "false")),
        (Queue("q"), Queue("q", auto_delete=True), ("auto_delete", "false", "true")),
        (
            Queue("q"),
            Queue("q", arguments={"x-queue-type": "quorum"}),
            ("x-queue-type", None, "quorum"),
        ),
        (
            Queue("q", arguments={"x-single-active-consumer": True}),
            Queue("q"),
            ("x-single-active-consumer", "true", None),
        ),
        (Exchange("x"), Exchange("x", internal=True), ("internal", "false", "true")),
        (
            Exchange("x", arguments={"alternate-exchange": "'quoted' but current is none"}),
            Exchange("x", arguments={"alternate-exchange": "b"}),
            ("alternate-exchange", "'quoted' but current is none", "b"),
        ),
    ],
)
def test_a_conflict_has_both_values(
    broker: Broker, there: Any, wanted: Any, told: tuple[str, str, str]
) -> None:
    def alone(item: Any) -> Topology:
        if isinstance(item, Queue):
            return Topology("t", queues={item.name: item})
        return Topology("t", exchanges={item.name: item})

    apply_topology(alone(there), broker.url)
    with pytest.raises(ConflictsFound) as found:
        apply_topology(alone(wanted), broker.url)
    (conflict,) = found.value.conflicts
    assert (conflict.argument, conflict.broker_value, conflict.wanted_value) == told


def test_a_value_that_the_broker_cuts_off_is_not_made_up(broker: Broker) -> None:
    name = "q" * 230
    apply_topology(Topology("t", queues={name: Queue(name)}), broker.url)
    wanted = Queue(name, arguments={"x-max-priority": 9})
    with pytest.raises(ConflictsFound) as found:
        apply_topology(Topology("t", queues={name: wanted}), broker.url)
    (conflict,) = found.value.conflicts
    assert (conflict.argument, conflict.wanted_value) == ("x-max-priority", "9")
    assert "cut off" in str(conflict.broker_value)


def test_another_connections_exclusive_queue_is_a_conflict(broker: Broker) -> None:
    with Connection(broker.url) as connection:
        connection.channel().queue_declare("q", exclusive=True)
        with pytest.raises(ConflictsFound, match="exclusive"):
            apply_topology(Topology("t", queues={"q": Queue("q")}), broker.url)


def test_an_explicit_classic_queue_is_no_other_queue(broker: Broker) -> None:
    explicit = Queue("q", arguments={"x-queue-type": "classic"})
    apply_topology(Topology("t", queues={"q": Queue("q")}), broker.url)
    assert not apply_topology(Topology("t", queues={"q": explicit}), broker.url).created


def test_progress_counts_every_step_of_looking_and_changing(
    broker: Broker, media: Topology
) -> None:
    steps: list[tuple[str, int, int]] = []
    apply_topology(media, broker.url, on_step=lambda *step: steps.append(step))
    looking = [("inspect", done, 4) for done in range(1, 5)]
    changing = [("apply", done, 8) for done in range(1, 9)]
    assert steps == looking + changing


def test_a_circle_of_alternate_exchanges_is_declared(broker: Broker) -> None:
    one = Exchange("one", arguments={"alternate-exchange": "two"})
    two = Exchange("two", arguments={"alternate-exchange": "one"})
    queue = Queue("q")
    circle = Topology(
        "t",
        exchanges={"one": one, "two": two},
        queues={"q": queue},
        bindings=(Binding(one, two, "k"), Binding(two, one, "k"), Binding(two, queue, "k")),
    )
    assert apply_topology(circle, broker.url).exchanges == ("two", "one")
