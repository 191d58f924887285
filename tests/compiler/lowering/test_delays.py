"""A delayed message reaches what it would have reached at once: proved, and walked step by step."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from routewright.compiler import compile_text
from routewright.compiler.analysis.compare import compare
from routewright.compiler.definitions.file import read_definitions
from routewright.compiler.keys.patterns import covers, intersects, topic
from routewright.compiler.lowering.delay_proof import astray
from routewright.compiler.lowering.delays import ladder_for_runtime, with_delays, without_delays
from routewright.compiler.model.topology import Binding, Delays, Topology
from routewright.compiler.pipeline import Compilation
from routewright.compiler.routing.routing import Routing
from routewright.runtime import InvalidOption
from routewright.runtime.router.delay_ladder import source_word

EVERYTHING = (Path(__file__).parent / "delays.yaml").read_text(encoding="utf-8")

LOST = "media.delay.lost"
LAST_STOP = "media.delayed.25x100ms"
HUNDRED_MS = Delays(100, 30 * 24 * 3600 * 1000)
WORDS = ("", "image", "crop", "video", "rest", "kept", "other", "x", "0", "1", "%")


def compiled(text: str) -> tuple[Compilation, Topology]:
    compilation = compile_text(text)
    assert compilation.topology
    assert compilation.files, compilation.diagnostics
    return compilation, compilation.topology


def arrival(
    topology: Topology, routing: Routing, exchange: str, key: str, **headers: str
) -> tuple[int, tuple[str, ...]]:
    """How long the queues hold a message in all, in milliseconds, and the queues it ends in."""
    held = 0
    while True:
        queues = routing.route(exchange, key, headers).queues
        if len(queues) != 1 or not queues[0].startswith("media.delay.") or queues[0] == LOST:
            assert len(queues) <= 1 or not any("media.delay." in name for name in queues)
            return held, queues
        holding = topology.queues[queues[0]].arguments
        held += int(str(holding["x-message-ttl"]))
        exchange = str(holding["x-dead-letter-exchange"])
        assert "x-dead-letter-routing-key" not in holding


def delays(resolution: timedelta, longest: timedelta) -> Iterator[timedelta]:
    """None, one step, less than one, random ones, and the longest."""
    yield from (timedelta(), resolution, resolution / 3, longest)
    chance = random.Random(4)
    yield from (longest * chance.random() ** 3 for _ in range(40))


def test_every_delay_leads_where_an_undelayed_send_would_and_takes_its_time() -> None:
    compilation, topology = compiled(EVERYTHING)
    ladder = ladder_for_runtime(topology)
    assert ladder
    assert ladder.bits == 25
    lowered = with_delays(topology)
    routing = Routing(lowered)
    resolution, longest = timedelta(milliseconds=100), timedelta(days=30)
    chance = random.Random(5)
    reached = set()
    for delay in delays(resolution, longest):
        for source in ladder.sources:
            random_key = ".".join(chance.choices(WORDS, k=chance.randint(1, 3)))
            own_keys = {it.routing_key for it in topology.tasks.values()}
            for key in (random_key, *own_keys):
                where = ladder.address(source, key, delay)
                held, queues = arrival(lowered, routing, *where, region="eu")
                undelayed = compilation.route(source, key, {"region": "eu"})
                lost = () if undelayed.queues else ((), (LOST,))
                assert queues == undelayed.queues or queues in lost, (source, key)
                assert delay <= timedelta(milliseconds=held) < delay + resolution
                reached.update(queues)
    assert reached == {*topology.queues, LOST}


def test_each_level_reads_just_its_own_digit() -> None:
    """So that, with the walk above, every one of the 2^25 delays leads to the last stop."""
    _, topology = compiled(EVERYTHING)
    lowered = with_delays(topology)
    routing = Routing(lowered)
    digits = 25
    for place in range(digits):
        name = f"media.delay.25x100ms.{digits - 1 - place}"
        below = f"media.delay.25x100ms.{digits - 2 - place}" if place < digits - 1 else LAST_STOP
        hold, skip = sorted(
            routing.graph.bindings_from(name), key=lambda it: it.destination.name == below
        )
        assert (hold.destination.name, skip.destination.name) == (name, below)
        assert lowered.queues[name].dead_letter_exchange == below
        for digit, wanted, other in (("1", hold, skip), ("0", skip, hold)):
            keys = topic(f"{'*.' * place}{digit}{'.*' * (digits - 1 - place)}.*.#")
            assert covers([topic(wanted.key)], keys)
            assert not intersects(topic(other.key), keys)


@pytest.mark.parametrize("source", ["tasks.front", "jobs", "shout.out", "sorted", "safe", ""])
def test_a_binding_that_is_lost_or_too_many_is_found_with_the_smallest_key(
    source: str,
) -> None:
    _, topology = compiled(EVERYTHING)
    after = with_delays(topology)
    assert list(astray(topology, after, HUNDRED_MS)) == []
    anchored = f".{source_word(source)}"
    ours = [it for it in after.bindings if it.source.name == LAST_STOP and anchored in it.key]
    assert ours
    without = replace(after, bindings=tuple(it for it in after.bindings if it != ours[0]))
    lost = list(astray(topology, without, HUNDRED_MS))
    assert [it.exchange for it in lost] == [source]
    assert not set(lost[0].undelayed.queues) <= set(lost[0].delayed.queues)
    more = Binding(ours[0].source, after.queues["video"], f"{'*.' * 25}{source_word(source)}.more")
    with_more = replace(after, bindings=(*after.bindings, more))
    (gained,) = astray(topology, with_more, HUNDRED_MS)
    assert (gained.exchange, gained.key) == (source, "more")


def test_no_key_of_any_exchange_goes_elsewhere_once_delays_are_declared() -> None:
    _, with_them = compiled(EVERYTHING)
    _, without = compiled(EVERYTHING.replace("delays:", "#"))
    lowered = with_delays(with_them)
    declared = [it.exchange for it in compare(without, without_delays(lowered)).differences]
    assert declared == []
    added = [it for it in lowered.bindings if it not in without.bindings]
    assert all(it.source.name.startswith("media.delay") for it in added)


def test_the_generated_definitions_are_equivalent_to_their_topology() -> None:
    compilation, topology = compiled(EVERYTHING)
    definitions = compilation.files["definitions.json"]
    assert definitions.count('"x-dead-letter-strategy": "at-least-once"') == 25
    read = read_definitions("definitions.json", definitions.encode())
    assert compare(topology, without_delays(read)).equivalent


def test_source_words_are_plain_words_and_never_the_same() -> None:
    names = ["", "%", "a.b", "a%2Eb", "a", "*", "#", "%25", "%%", "a.b.", "A", "ä.ö", "."]
    words = [source_word(name) for name in names]
    assert len(set(words)) == len(names)
    assert not any(word in ("*", "#", "") or "." in word for word in words)


@pytest.mark.parametrize(
    ("resolution", "longest", "bits"),
    [("100ms", "30d", 25), ("1s", "1s", 1), ("1s", "2s", 2), ("1s", "3s", 2), ("1s", "3500ms", 3)],
)
def test_the_ladder_has_as_many_queues_as_the_longest_delay_has_digits(
    resolution: str, longest: str, bits: int
) -> None:
    text = EVERYTHING.replace("100ms", resolution).replace("30d", longest)
    _, topology = compiled(text)
    lowered = with_delays(topology)
    assert len(lowered.queues) - len(topology.queues) == bits + 1
    ladder = ladder_for_runtime(topology)
    assert ladder
    most = timedelta(milliseconds=ladder.max)
    held, _ = arrival(lowered, Routing(lowered), *ladder.address("tasks.front", "x", most))
    assert held >= ladder.max
    with pytest.raises(InvalidOption, match=r"can be delayed by .* at most"):
        ladder.address("tasks.front", "x", most + timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("{resolution: 1ms, max: 0s}", "malformed-delays"),
        ("{resolution: 0s, max: 1s}", "malformed-delays"),
        ("{resolution: 1s, max: 999d}", "malformed-delays"),
        ("{resolution: 1s}", "missing-key"),
        ("{resolution: 1, max: 5s}", "duration-without-unit"),
        ("{max: 5s, most: 4s}", "unknown-key"),
    ],
)
def test_what_delays_cannot_be_is_said(written: str, code: str) -> None:
    compilation = compile_text(f"topology: t\ndelays: {written}\n")
    assert [it.code for it in compilation.diagnostics] == [code]


def test_an_older_broker_gets_classic_queues() -> None:
    older = EVERYTHING.replace("delays:", "target: rabbitmq-3.9\ndelays:")
    _, topology = compiled(older)
    held = [it for name, it in with_delays(topology).queues.items() if "delay" in name]
    assert {it.type for it in held} == {"classic"}


def test_without_a_broker_that_delays_a_warning_says_who_holds_the_tasks() -> None:
    text = """
topology: t
target: redis
delays: {resolution: 1s, max: 1h}
queues: {work: {exchange: jobs, binding_key: work}}
exchanges: {jobs: {}}
tasks: {t.Do: {exchange: jobs, routing_key: work}}
"""
    compilation, topology = compiled(text)
    (warning,) = compilation.diagnostics
    assert (warning.code, warning.span and warning.span.line) == ("unsupported-by-target", 4)
    assert with_delays(topology).queues.keys() == {"work"}
    assert "DelayLadder" in compilation.files["router.py"]
