"""Serializers: any case of a name, one's own, and pickle only where the topology says so twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from kombu.serialization import registry

from routewright.runtime import EncodeError, InvalidOption, register_serializer


@pytest.fixture
def reversed_text() -> Iterator[str]:
    """The name of a serializer that writes backwards; it is forgotten after the test."""
    register_serializer(
        "Backwards",
        lambda value: repr(value)[::-1],
        lambda text: ast.literal_eval(text[::-1]),
        "application/x-backwards",
    )
    yield "Backwards"
    registry.unregister("backwards")


def test_a_serializer_of_ones_own_goes_both_ways(stage: Any, reversed_text: str) -> None:
    names = ("json", "backwards")
    app = stage.app(stage.route("t", accepted=names))
    app.task(name="t")(lambda x, y: [x, y])
    results = [
        app.send_task("t", ["ä", {1: (2,)}], serializer=name)
        for name in (reversed_text, "BACKWARDS", "backwards")
    ]
    with stage.worker(app, accept=names):
        assert [result.get(timeout=120) for result in results] == [["ä", {"1": [2]}]] * 3


def test_only_where_the_topology_says_so_is_it_sent(memory: Any, reversed_text: str) -> None:
    with pytest.raises(InvalidOption, match="cannot be sent as Backwards: its workers read json"):
        memory.app("t").send_task("t", serializer=reversed_text)


@pytest.mark.parametrize("name", ["JSON", "yaml", "Pickle", "raw"])
def test_those_that_are_there_are_not_replaced(name: str) -> None:
    with pytest.raises(InvalidOption, match="is there already"):
        register_serializer(name, repr, repr, "application/x-new")


def test_a_content_type_is_one_serializers_alone(reversed_text: str) -> None:
    with pytest.raises(InvalidOption, match="that of serializer `pickle`"):
        register_serializer("other", repr, repr, "application/x-python-serialize")
    with pytest.raises(InvalidOption, match="that of serializer `backwards`"):
        register_serializer("other", repr, repr, "application/x-backwards")
    register_serializer(reversed_text, repr, repr, "application/x-backwards")


def test_what_cannot_be_encoded_is_said_in_the_call(memory: Any) -> None:
    register_serializer("failing", lambda _: 1 / 0, repr, "application/x-failing")  # type: ignore[arg-type, return-value]
    try:
        app = memory.app(memory.route("t", accepted=("failing",)))
        with pytest.raises(EncodeError, match="cannot be sent as failing: division by zero"):
            app.send_task("t", serializer="failing")
    finally:
        registry.unregister("failing")


@pytest.mark.broker
def test_text_that_its_encoding_cannot_say_harms_no_other_message(rabbit: Any) -> None:
    register_serializer("narrow", lambda _: "ä", repr, "application/x-narrow", "ascii")
    try:
        app = rabbit.app(rabbit.route("t", accepted=("json", "narrow")), pool_limit=1)
        with pytest.raises(EncodeError, match="'ascii' codec can't encode"):
            app.send_task("t", serializer="narrow", ignore_result=True)
        app.send_task("t", ignore_result=True)
        assert rabbit.waiting() == 1
    finally:
        registry.unregister("narrow")
