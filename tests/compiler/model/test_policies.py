"""What a policy adds counts as if the queue or the exchange said it itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from routewright.compiler import compile_text
from routewright.compiler.cli import main
from routewright.compiler.model.policies import MalformedPattern, regular_expression


def codes(text: str) -> list[str]:
    return [it.code for it in compile_text(text).diagnostics]


DEAD = """
topology: shop
exchanges: {orders: {type: topic}, dead: {type: topic}}
queues:
  orders: {exchange: orders, binding_key: "order.#"}
  lost: {exchange: dead, binding_key: "lost", tap: true}
tasks: {ship: {exchange: orders, routing_key: order.ship}}
workers: {all: {queues: [orders]}}
"""


def test_a_dead_letter_exchange_by_policy_is_followed() -> None:
    policy = 'policies: {dead: {pattern: "^orders$", definition: {dead_letter: {exchange: dead}}}}'
    assert "dead-letter-goes-nowhere" not in codes(DEAD)
    found = compile_text(DEAD + policy).diagnostics
    (nowhere,) = [it for it in found if it.code == "dead-letter-goes-nowhere"]
    assert nowhere.witness == "order"
    assert nowhere.span
    assert nowhere.span.line == 9  # the policy says it, not the queue


def test_a_key_by_policy_joins_an_exchange_of_the_queue_s_own() -> None:
    own = DEAD.replace('"order.#"}', '"order.#", dead_letter: {exchange: dead}}')
    policy = """
policies:
  key: {pattern: "^orders$", definition: {arguments: {dead-letter-routing-key: lost}}}
"""
    assert "dead-letter-goes-nowhere" in codes(own)
    assert "dead-letter-goes-nowhere" not in codes(own + policy)


def test_an_alternate_exchange_by_policy_takes_what_nothing_matches() -> None:
    text = """
topology: shop
exchanges: {orders: {type: topic}, rest: {type: fanout}, own: {type: topic, alternate_exchange: ""}}
queues: {orders: {exchange: orders, binding_key: "order.#"}, rest: {exchange: rest}}
policies:
  rest: {pattern: "o|^amq.topic$", apply_to: exchanges, definition: {alternate_exchange: rest}}
"""
    compilation = compile_text(text)
    assert compilation.route("orders", "order.ship").queues == ("orders",)
    assert compilation.route("orders", "invoice").queues == ("rest",)
    assert compilation.route("amq.topic", "invoice").queues == ("rest",)
    assert compilation.route("own", "invoice").queues == ()  # its own argument counts
    assert compilation.route("amq.direct", "invoice").queues == ()


def test_a_time_to_live_by_policy_ends_a_wait() -> None:
    text = """
topology: shop
exchanges: {orders: {type: topic}, again: {type: fanout}}
queues:
  orders: {exchange: orders, binding_key: "#"}
  pause: {exchange: again, dead_letter: {exchange: orders}}
tasks: {ship: {exchange: orders, routing_key: order.ship}}
workers: {all: {queues: [orders]}}
"""
    policy = 'policies: {ttl: {pattern: "^pause$", definition: {message_ttl: 5s}}}'
    assert "wait-without-end" in codes(text)
    assert "wait-without-end" not in codes(text + policy)


def test_the_highest_priority_counts_and_one_that_does_not_fit_is_passed_over() -> None:
    text = """
topology: shop
queues: {"q.quorum": {type: quorum}, "q.classic": {}}
policies:
  lazy: {pattern: "^q", priority: 2, definition: {queue_mode: lazy, max_length: 1}}
  long: {pattern: "^q", priority: 1, definition: {max_length: 2}}
  longer: {pattern: "^q", definition: {max_length: 3}}
"""
    topology = compile_text(text).topology
    assert topology
    assert {name: it.effective["x-max-length"] for name, it in topology.queues.items()} == {
        "q.quorum": 2,
        "q.classic": 1,
    }


@pytest.mark.parametrize(
    "pattern", ["(", "q{,3}", r"\Qa\E", "[[:^alpha:]]", "[:alpha:]", r"(?u)a", r"\u0061"]
)
def test_a_pattern_that_perl_and_python_may_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(MalformedPattern):
        regular_expression(pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        ("^[[:alpha:]]+$", "ab", True),
        ("^[[:alpha:]]+$", "a1", False),
        ("^[[:alpha:][:digit:]._-]+$", "a-1.b", True),
        ("^[^[:upper:]]+$", "aB", False),
        (r"^[\][:digit:]]+$", "]1", True),
        (r"^\[[[:lower:]]+$", "[ab", True),
        ("^[[:xdigit:]]{2}[[:blank:]]$", "f0 ", True),
    ],
)
def test_classes_of_characters_in_a_set_are_those_of_perl(
    pattern: str, name: str, matched: bool
) -> None:
    assert (regular_expression(pattern).search(name) is not None) is matched


def test_definitions_carry_policies_and_are_read_back(tmp_path: Path) -> None:
    policy = """
policies:
  dead:
    pattern: "^orders$"
    priority: 5
    apply_to: queues
    definition: {dead_letter: {exchange: dead, routing_key: lost}, message_ttl: 60s}
"""
    file = tmp_path / "topology.yaml"
    file.write_text(DEAD + policy)
    compilation = compile_text(DEAD + policy)
    written = compilation.files["definitions.json"]
    assert json.loads(written)["policies"] == [
        {
            "name": "dead",
            "vhost": "/",
            "pattern": "^orders$",
            "priority": 5,
            "apply-to": "queues",
            "definition": {
                "dead-letter-exchange": "dead",
                "dead-letter-routing-key": "lost",
                "message-ttl": 60000,
            },
        }
    ]
    exported = tmp_path / "live.json"
    exported.write_text(written)
    result = CliRunner().invoke(main, ["diff", str(exported), str(file)])
    assert result.exit_code == 0, result.output


def test_diff_sees_an_alternate_exchange_come_by_policy(tmp_path: Path) -> None:
    text = """
topology: shop
exchanges: {orders: {type: topic}, rest: {type: fanout}}
queues: {orders: {exchange: orders, binding_key: "order.#"}, rest: {exchange: rest}}
"""
    policy = 'policies: {r: {pattern: "^orders$", definition: {alternate_exchange: rest}}}'
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(compile_text(text).files["definitions.json"])
    new.write_text(compile_text(text + policy).files["definitions.json"])
    result = CliRunner().invoke(main, ["diff", str(old), str(new), "--format", "json"])
    (difference,) = json.loads(result.output)["differences"]
    assert (difference["witness"], difference["before"], difference["after"]) == ("", [], ["rest"])


def test_an_export_whose_policies_contend_is_refused(tmp_path: Path) -> None:
    exported = {
        "queues": [{"name": "orders"}],
        "policies": [
            {"name": name, "pattern": "^orders$", "definition": {"max-length": length}}
            for name, length in (("a", 1), ("b", 2))
        ],
    }
    file = tmp_path / "live.json"
    file.write_text(json.dumps(exported))
    result = CliRunner().invoke(main, ["diff", str(file), str(file)])
    assert result.exit_code == 2
    assert "`a` and `b`" in result.output
    assert "Traceback" not in result.output


def test_explain_names_the_policy_behind_a_dead_letter(tmp_path: Path) -> None:
    policy = 'policies: {dead: {pattern: "^orders$", definition: {dead_letter: {exchange: dead}}}}'
    file = tmp_path / "topology.yaml"
    file.write_text(DEAD + policy)
    text = CliRunner().invoke(main, ["explain", str(file), "ship"]).output
    assert "given up on: `order.ship` to exchange `dead` (topic), says policy `dead`" in text
    found = CliRunner().invoke(main, ["explain", str(file), "ship", "--format", "json"]).output
    assert json.loads(found)["dead_letters"]["orders"]["policy"] == "dead"
