"""A finding shows the key of a message that proves it, and the way that the message takes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from random_topologies import random_message, random_routings

from routewright.compiler import compile_text
from routewright.compiler.analysis.paths import paths
from routewright.compiler.reports.for_programs import as_json

SHARED = """
topology: t
exchanges:
  tasks: {type: topic}
  files: {type: direct, bindings: [{exchange: tasks, binding_key: "file.#"}]}
  docs: {type: headers, bindings: [{exchange: tasks, binding_key: "doc.#"}]}
tasks: {a.B: {exchange: tasks, routing_key: file.x}}
"""
WAY = "exchange `tasks` -> `file.#` -> exchange `files` -> `file.x` -> queue `one`"


def finding(code: str, text: str) -> dict[str, Any]:
    found = json.loads(as_json(compile_text(SHARED + text).diagnostics))["diagnostics"]
    first: dict[str, Any] = next(it for it in found if it["code"] == code)
    return first


def ways(found: dict[str, Any]) -> list[str]:
    return [it["message"] for it in found["notes"] if " -> " in it["message"]]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "queue-without-worker",
            """
queues: {one: {exchange: files, binding_key: file.x}, two: {exchange: files, binding_key: y}}
workers: {some: {queues: [two]}}""",
        ),
        (
            "stream-as-work-queue",
            """
queues: {one: {exchange: files, binding_key: file.x, type: stream}}
workers: {some: {queues: [one]}}""",
        ),
        (
            "tap-in-worker-group",
            """
queues: {one: {exchange: files, binding_key: file.x, tap: true}}
workers: {some: {queues: [one]}}""",
        ),
        (
            "task-without-work-queue",
            "queues: {one: {exchange: files, binding_key: file.x, tap: true}}",
        ),
        (
            "wait-without-end",
            """
queues:
  one: {exchange: files, binding_key: file.x, dead_letter: {exchange: tasks}}
  two: {exchange: files, binding_key: y}
workers: {some: {queues: [two]}}""",
        ),
        (
            "failed-assertion",
            """
queues: {one: {exchange: files, binding_key: file.x}}
assertions: [{exchange: tasks, keys: file.x, never: [one]}]""",
        ),
    ],
)
def test_the_key_is_shown_and_the_way_over_every_exchange(code: str, text: str) -> None:
    found = finding(code, text)
    assert found["witness"] == "file.x"
    assert ways(found) == [WAY]


def test_an_assertion_that_some_headers_break_shows_them() -> None:
    found = finding(
        "failed-assertion",
        """
queues: {one: {bindings: [{exchange: docs, arguments: {x-match: all, size: 1}}]}}
assertions: [{exchange: tasks, keys: "doc.#", never: [one]}]""",
    )
    assert (found["witness"], found["headers"]) == ("doc", {"size": 1})
    assert "with headers {'size': 1}" in found["message"]


def test_a_lost_message_is_shown_up_to_where_it_is_lost() -> None:
    found = finding("unroutable-task", "queues: {one: {exchange: files, binding_key: y}}")
    assert found["witness"] == "file.x"
    assert ways(found) == ["exchange `tasks` -> `file.#` -> exchange `files`, and no further"]


def test_what_waits_is_shown_by_a_key_and_not_by_a_pattern() -> None:
    text = """
topology: t
exchanges: {tasks: {type: topic}}
queues:
  one: {exchange: tasks, binding_key: "file.*.#", dead_letter: {exchange: tasks}}
  two: {exchange: tasks, binding_key: two}
workers: {some: {queues: [two]}}
"""
    compilation = compile_text(text)
    (found,) = (it for it in compilation.diagnostics if it.code == "wait-without-end")
    assert found.witness is not None
    assert compilation.route("tasks", found.witness).queues == ("one",)
    assert "*" not in found.witness


def test_a_way_leads_from_the_exchange_by_steps_that_the_message_takes_to_each_queue() -> None:
    """On random topologies."""
    long = 0
    for randomly, topology, routing in random_routings("paths", 100):
        for _ in range(30):
            exchange, key, headers = random_message(randomly, topology)
            delivery = routing.route(exchange, key, headers)
            shown = list(paths(exchange, delivery, delivery.queues))
            assert len(shown) == len(delivery.queues)
            for queue, note in zip(delivery.queues, shown, strict=True):
                start, *steps = note.message.split(" -> ")
                assert start == (f"exchange `{exchange}`" if exchange else "the default exchange")
                assert steps[-1] == f"queue `{queue}`"
                ends = [exchange, *(it.split("`")[1] for it in steps[1::2])]
                taken = {(hop.exchange, hop.destination.name) for hop in delivery.hops}
                assert set(pairwise(ends)) <= taken
                long += len(ends) > 2
    assert long > 100, "the sample shows too little"
