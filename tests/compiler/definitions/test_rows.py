"""RabbitMQ's JSON is read as it is written, and what is wrong with it is named."""

from __future__ import annotations

import json

import pytest

from routewright.compiler.definitions import rows
from routewright.compiler.definitions.file import MalformedDefinitions, read_definitions
from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue

TASKS = Exchange("tasks", "topic", durable=False, arguments={"alternate-exchange": "rest"})
VIDEO = Queue("video", auto_delete=True, arguments={"x-max-priority": 9})


def test_what_is_written_is_read_again() -> None:
    limit = Policy("limit", "^video", {"max-length": 5}, 1.5, "queues")
    assert rows.read_exchange(rows.write_exchange(TASKS)) == TASKS
    assert rows.read_queue(rows.write_queue(VIDEO)) == VIDEO
    assert rows.read_policy(rows.write_policy(limit)) == limit
    for end in (VIDEO, TASKS):
        row = rows.write_binding(Binding(TASKS, end, "video.#", {"x": 1}))
        assert rows.read_binding(row) == (
            ("tasks", end.name, isinstance(end, Exchange), "video.#", {"x": 1})
        )


def test_an_empty_table_may_come_as_a_list() -> None:
    assert rows.read_queue({**rows.write_queue(VIDEO), "arguments": []}).arguments == {}


def test_a_file_may_leave_out_what_has_a_default() -> None:
    written = {
        "exchanges": [{"name": "tasks", "type": "topic"}],
        "queues": [{"name": "video"}],
        "bindings": [{"source": "tasks", "destination": "video", "destination_type": "queue"}],
    }
    read = read_definitions("live.json", json.dumps(written).encode())
    assert read.exchanges == {"tasks": Exchange("tasks", "topic")}
    assert read.queues == {"video": Queue("video")}
    assert [binding.key for binding in read.bindings] == [""]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("[]", "it is not a JSON object"),
        ('{"queues": 3}', "`queues` is not a list of objects"),
        ('{"queues": [3]}', "`queues` is not a list of objects"),
        ('{"queues": [{"name": 5}]}', "`name` is 5"),
        ('{"exchanges": [{"name": "tasks"}]}', "`type` is None"),
        ('{"queues": [{"name": "video", "vhost": []}]}', r"`vhost` is \[\]"),
        ('{"queues": [{"name": "video", "arguments": "none"}]}', "`arguments` is 'none'"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_malformed_file_is_refused_by_one_sentence(written: str, why: str) -> None:
    with pytest.raises(MalformedDefinitions, match=f"is no file of RabbitMQ definitions: .*{why}"):
        read_definitions("live.json", written.encode())
