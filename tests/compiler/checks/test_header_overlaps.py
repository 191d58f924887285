"""Work queues that only some headers bring together are found, with those headers."""

from __future__ import annotations

import json

import pytest
from random_topologies import random_message, random_routings

from routewright.compiler import compile_text
from routewright.compiler.keys import header_sets as headers
from routewright.compiler.reports.for_programs import as_json
from routewright.compiler.routing import by_headers


def overlaps(*arguments: str) -> list[dict[str, object]]:
    """What is said of two queues that are bound to a headers exchange, behind a topic one."""
    one, other = arguments
    text = f"""
topology: t
exchanges:
  tasks: {{type: topic}}
  docs: {{type: headers, bindings: [{{exchange: tasks, binding_key: "doc.#"}}]}}
queues:
  one: {{bindings: [{{exchange: docs, arguments: {{{one}}}}}]}}
  two: {{bindings: [{{exchange: docs, arguments: {{{other}}}}}]}}
  rest: {{exchange: tasks, binding_key: rest}}
tasks: {{a.B: {{exchange: tasks, routing_key: rest}}}}
"""
    found = json.loads(as_json(compile_text(text).diagnostics))["diagnostics"]
    return [it for it in found if it["code"] in ("overlapping-work-queues", "too-many-key-classes")]


def test_the_key_and_the_headers_are_shown_and_the_way_by_both_exchanges() -> None:
    (found,) = overlaps("x-match: all, a: 1", "x-match: all, b: 2, c: 3")
    assert found["witness"] == "doc"
    assert found["headers"] == {"a": 1, "b": 2, "c": 3}
    notes = json.dumps(found["notes"])
    assert "exchange `tasks` -> `doc.#` -> exchange `docs` -> headers" in notes
    assert "-> queue `one`" in notes
    assert "-> queue `two`" in notes


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x-match: all, a: 1", "x-match: all, a: 2"),
        ("a: 1, b: 1", "x-match: all, b: 2, c: 3"),
        ("x-match: any, a: 1", "x-match: all, a: 2"),
        ("x-match: any, a: 1, a2: 1", "a: 2, a2: 2"),
        ("x-match: all, a: 1", 'a: "1"'),
        ("x-match: all, lang: ruby", "a: 1"),
    ],
)
def test_headers_that_no_message_of_a_task_has_together_are_no_overlap(
    one: str, other: str
) -> None:
    assert overlaps(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "shown"),
    [
        ("x-match: any, a: 1, b: 1", "x-match: all, a: 2", {"a": 2, "b": 1}),
        ("x-match: any, lang: py", "x-match: all, a: 2", {"a": 2, "lang": "py"}),
        ("x-match: any-with-x, x-a: 1", "x-match: all-with-x, x-b: 2", {"x-a": 1, "x-b": 2}),
        ("x-match: all", "a: 1", {"a": 1}),
    ],
)
def test_the_headers_shown_are_as_few_as_will_do(
    one: str, other: str, shown: dict[str, object]
) -> None:
    (found,) = overlaps(one, other)
    assert found["headers"] == shown


def test_what_is_too_much_to_look_at_is_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    many = ", ".join(f"h{number}: 1" for number in range(12))
    (found,) = overlaps(f"x-match: any, {many}", "a: 1")
    assert found["code"] == "too-many-key-classes"
    assert "undecided" in str(found["message"])
    monkeypatch.setattr(headers, "MAX_COMPARED", 7)
    assert [it["code"] for it in overlaps("a: 1", "b: 1")] == ["too-many-key-classes"]
    monkeypatch.undo()
    monkeypatch.setattr(by_headers, "MAX_STEPS", 7)
    assert [it["code"] for it in overlaps("a: 1", "b: 1")] == ["too-many-key-classes"]


def test_every_message_reaches_a_set_of_queues_that_was_foreseen() -> None:
    """On random topologies, in both directions."""
    with_headers = 0
    for randomly, topology, ways in random_routings("headers", 150):
        for exchange in topology.exchanges:
            foreseen = [*ways.destinations(exchange), *ways.destinations_by_headers(exchange)]
            for it in foreseen:
                assert ways.route(exchange, it.key, it.headers).queues == it.delivery.queues
                with_headers += bool(it.headers)
        for _ in range(50):
            exchange, key, sent = random_message(randomly, topology)
            if exchange:
                foreseen = [*ways.destinations(exchange), *ways.destinations_by_headers(exchange)]
                queues = {it.delivery.queues for it in foreseen}
                assert ways.route(exchange, key, sent).queues in queues
    assert with_headers > 100, "the sample shows too little"
