"""On kombu's virtual transports a pattern matches what kombu says, which is less."""

from __future__ import annotations

import re
from itertools import product

from kombu.transport.virtual.exchange import TopicExchange

from routewright.compiler import compile_text
from routewright.compiler.keys.kombu_topics import kombu_topic
from routewright.compiler.keys.patterns import matches

PATTERNS = [".".join(it) for size in range(5) for it in product(["a", "b", "*", "#"], repeat=size)]
KEYS = [".".join(words) for size in range(5) for words in product(["a", "b", "c"], repeat=size)]

SHADOWED = "shadowed-binding"
TEXT = """
topology: t
target: redis
exchanges: {{jobs: {{type: topic}}}}
queues: {{work: {{exchange: jobs, binding_key: "{key}"}}}}
"""


def test_the_model_agrees_with_kombu() -> None:
    exchange = TopicExchange(None)
    for pattern in PATTERNS:
        regex = re.compile(exchange.key_to_pattern(pattern))
        model = kombu_topic(pattern)
        for key in KEYS:
            assert matches(model, key) == bool(regex.match(key)), (pattern, key)


def test_a_key_that_is_missed_there_is_shown() -> None:
    found = {
        key: [it.witness for it in compile_text(TEXT.format(key=key)).diagnostics]
        for key in ("video.#", "#.video", "a.#.b", "#", "video.*", "#.#")
    }
    assert found == {
        "video.#": ["video"],
        "#.video": ["video"],
        "a.#.b": ["a.b"],
        "#": [],
        "video.*": [],
        "#.#": [""],
    }


def test_a_binding_for_the_key_that_is_missed_is_no_second_mistake() -> None:
    beside = """
topology: t
target: redis
exchanges: {jobs: {type: topic}}
queues:
  work: {bindings: [{exchange: jobs, binding_key: "a.#"}, {exchange: jobs, binding_key: KEY}]}
"""
    found = {
        key: [it.code for it in compile_text(beside.replace("KEY", key)).diagnostics]
        for key in ("a", "a.b", "a.b.c")
    }
    missed = "unsupported-by-target"
    assert found == {"a": [], "a.b": [missed, SHADOWED], "a.b.c": [missed, SHADOWED]}
