"""Task names may be patterns: a name belongs to itself, or to the most specific that matches it."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from deploying import declared_router
from hypothesis import given, settings
from hypothesis import strategies as st
from private_nodes import Broker

from routewright.compiler import cli, compile_text
from routewright.compiler.analysis.compare import compare
from routewright.compiler.keys.patterns import covers, has_wildcard, matches, topic
from routewright.compiler.model.task_names import TaskNames, owner
from routewright.compiler.model.topology import Exchange, Task
from routewright.compiler.pipeline import Compilation
from routewright.runtime import App, InvalidParameter, Router, UnknownTask
from routewright.runtime.router.topics import matches as runtime_matches

FEEDS = """
topology: feeds
defaults: {exchange: tasks}
exchanges: {tasks: {type: topic}}
queues:
  feeds:  {exchange: tasks, binding_key: "work.feeds.#"}
  urgent: {exchange: tasks, binding_key: "urgent.#"}
  rest:   {exchange: tasks, binding_key: "rest"}
tasks:
  "feeds.#":     {routing_key: "work.{task}", priority: 5}
  "feeds.*.Now": {routing_key: "urgent.{task}"}
  feeds.rss.Now: {routing_key: rest}
  "#":           {routing_key: rest}
"""

WORDS = ["a", "b", "*", "#"]
names = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(".".join)
patterns = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(".".join)
SHORT = [".".join(words) for size in range(1, 5) for words in product("abc", repeat=size)]


def router_of(compilation: Compilation) -> Router[str]:
    assert not [it for it in compilation.diagnostics if it.severity == "error"]
    text = compilation.files["router.py"].replace("from .names import TaskName", "TaskName = str")
    made: dict[str, Any] = {}
    exec(compile(text, "router.py", "exec"), made)
    router: Router[str] = made["router"]
    return router


@pytest.mark.parametrize(
    ("name", "key", "queues"),
    [
        ("feeds.rss.Fetch", "work.feeds.rss.Fetch", ("feeds",)),
        ("feeds", "work.feeds", ("feeds",)),
        ("feeds.atom.Now", "urgent.feeds.atom.Now", ("urgent",)),
        ("feeds.rss.Now", "rest", ("rest",)),
        ("anything.else", "rest", ("rest",)),
    ],
)
def test_a_name_goes_the_way_of_the_most_specific_task(
    name: str, key: str, queues: tuple[str, ...]
) -> None:
    found = router_of(compile_text(FEEDS)).resolve(name)
    assert (found.task, found.routing_key, found.queues) == (name, key, queues)


def test_the_order_of_the_file_has_no_say() -> None:
    head, tasks = FEEDS.rsplit("tasks:\n", 1)
    turned = "\n".join([f"{head}tasks:", *reversed(tasks.splitlines()), ""])
    one, other = (compile_text(text).files["router.py"] for text in (FEEDS, turned))
    assert _hash(one) != _hash(other)
    assert one.replace(_hash(one), "") == other.replace(_hash(other), "")


def _hash(router: str) -> str:
    return router.partition('source="')[2].partition('"')[0]


def test_a_name_seen_before_is_one_look_up() -> None:
    router = router_of(compile_text(FEEDS))
    assert router.resolve("feeds.a") is router.resolve("feeds.a")


def test_what_strangers_call_tasks_does_not_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("routewright.runtime.router.route.MAX_REMEMBERED", 2)
    router = router_of(compile_text(FEEDS))
    found = [router.resolve(f"feeds.n{number}") for number in range(4)]
    again = [router.resolve(f"feeds.n{number}") for number in range(4)]
    assert found == again
    assert [one is other for one, other in zip(found, again, strict=True)] == [True] * 2 + [
        False
    ] * 2


def test_a_name_that_makes_too_long_a_key_is_an_error_of_the_call() -> None:
    with pytest.raises(InvalidParameter, match="256 bytes"):
        router_of(compile_text(FEEDS)).resolve("feeds." + "x" * 245)


def test_a_name_that_nothing_matches_is_unknown() -> None:
    router = router_of(compile_text(FEEDS.replace('  "#":           {routing_key: rest}\n', "")))
    with pytest.raises(UnknownTask):
        router.resolve("other")


# A machine that does much else takes longer than hypothesis allows.
@settings(deadline=None)
@given(st.lists(patterns, unique=True, max_size=5), st.lists(names, unique=True, max_size=2))
def test_whose_a_name_is_agrees_with_the_definition(wild: list[str], exact: list[str]) -> None:
    every = list(dict.fromkeys([*wild, *exact]))
    sorted_out = TaskNames(every)
    ambiguous = {it.patterns for it in sorted_out.ambiguities()}
    exchange = Exchange("x")
    tasks = {
        name: Task(
            name, exchange, is_pattern=has_wildcard(name), narrower=sorted_out.narrower(name)
        )
        for name in every
    }
    disputed = set()
    for name in SHORT:
        takers = [it for it in every if has_wildcard(it) and matches(topic(it), name)]
        least = [it for it in takers if not any(narrower(other, it) for other in takers)]
        found = owner(tasks, name)
        if name in every:
            assert found is not None
            assert found.name == name
        elif len(least) == 1:
            assert found is not None
            assert found.name == least[0]
        elif least:
            disputed.add(frozenset(least))
        else:
            assert found is None
    assert all(any(set(pair) <= least for pair in ambiguous) for least in disputed)
    for it in sorted_out.ambiguities():
        assert all(matches(topic(pattern), it.name) for pattern in it.patterns)
        assert it.name not in every


def narrower(one: str, other: str) -> bool:
    """Whether a pattern matches less than another, by the algebra of pairs."""
    return covers([topic(other)], topic(one)) and not covers([topic(one)], topic(other))


@given(patterns, st.lists(st.sampled_from(["a", "b", ""]), max_size=5).map(".".join))
def test_the_runtime_matches_as_the_compiler_does(pattern: str, key: str) -> None:
    assert runtime_matches(pattern, key) == matches(topic(pattern), key)


def test_a_name_that_has_a_task_of_its_own_is_nobodys_to_dispute() -> None:
    text = """
topology: t
exchanges: {jobs: {type: topic}}
queues: {work: {exchange: jobs, binding_key: "#"}}
tasks:
  "*.b": {exchange: jobs, routing_key: one}
  "a.*": {exchange: jobs, routing_key: two}
"""
    (found,) = compile_text(text).diagnostics
    assert (found.code, found.witness) == ("ambiguous-task-name", "a.b")
    decided = compile_text(text + "  a.b: {exchange: jobs, routing_key: three}\n")
    assert decided.diagnostics == ()


def test_names_that_other_tasks_have_are_not_counted_against_a_pattern() -> None:
    text = FEEDS.replace(
        'urgent: {exchange: tasks, binding_key: "urgent.#"}',
        'urgent: {bindings: [{exchange: tasks, binding_key: "urgent.#"},'
        ' {exchange: tasks, binding_key: "work.feeds.rss.Now"}]}',
    )
    codes = {it.code for it in compile_text(text).diagnostics}
    # Work queues overlap there, but no task's name leads to that key.
    assert codes == {"overlapping-work-queues", "dead-binding"}
    shorter = text.replace("  feeds.rss.Now: {routing_key: rest}\n", "").replace(
        '  "feeds.*.Now": {routing_key: "urgent.{task}"}\n', ""
    )
    found = compile_text(shorter).diagnostics
    assert ("task-delivered-more-than-once", "work.feeds.rss.Now") in {
        (it.code, it.witness) for it in found
    }


def test_every_name_is_proved_to_be_routable() -> None:
    found = compile_text(FEEDS.replace("work.feeds.#", "work.feeds.*")).diagnostics
    assert ("unroutable-task", "work.feeds") in {(it.code, it.witness) for it in found}


@pytest.mark.parametrize("key", ["a.x{task}", "{task}.{task}"])
def test_a_key_whose_name_cannot_be_read_back_is_refused(key: str) -> None:
    found = compile_text(FEEDS.replace("work.{task}", key)).diagnostics
    assert [it.code for it in found] == ["malformed-placeholder"]


def test_carved_keys_of_a_pattern_go_to_their_queue() -> None:
    text = FEEDS.replace(
        "queues:\n",
        "queues:\n  atom: {carve_out_of: feeds, binding_key: work.feeds.atom.Fetch}\n",
    )
    compilation = compile_text(text)
    assert compilation.diagnostics == ()
    found = router_of(compilation).resolve("feeds.atom.Fetch")
    assert found.exchange == "tasks.front"
    assert compilation.route("tasks.front", found.routing_key).queues == ("atom",)


def test_a_difference_names_the_tasks_whose_keys_it_concerns() -> None:
    old, new = compile_text(FEEDS), compile_text(FEEDS.replace("urgent.#", "urgent.feeds.a.Now"))
    assert old.topology
    assert new.topology
    concerned = {it.witness: it.tasks for it in compare(old.topology, new.topology).differences}
    assert concerned == {"urgent": ("feeds.*.Now",)}


def test_explain_takes_a_name_that_a_pattern_matches(tmp_path: Path) -> None:
    file = tmp_path / "topology.yaml"
    file.write_text(FEEDS)
    run = CliRunner().invoke(cli.main, ["explain", str(file), "feeds.atom.Now", "--format", "json"])
    told = json.loads(run.output)
    assert (told["task"], told["routing_key"]) == ("feeds.atom.Now", "urgent.feeds.atom.Now")
    assert told["queues"] == ["urgent"]


def test_the_task_header_of_a_pattern_is_not_guessed() -> None:
    text = """
topology: t
exchanges: {jobs: {type: headers}}
queues:
  work: {bindings: [{exchange: jobs, arguments: {x-match: all, task: a.b}}]}
tasks:
  "a.*": {exchange: jobs}
"""
    assert "undecided-route" in {it.code for it in compile_text(text).diagnostics}


@pytest.mark.broker
def test_tasks_of_a_pattern_arrive_where_the_compiler_says(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with App(declared_router(FEEDS, broker, tmp_path, monkeypatch), broker.url) as app:
        for name in ("feeds.x.Fetch", "feeds.y", "feeds.x.Now", "feeds.rss.Now", "other"):
            app.send_task(name, ignore_result=True)
    counts = {it["name"]: it["messages"] for it in broker.queues("name", "messages")}
    assert counts == {"feeds": 2, "urgent": 1, "rest": 2}
