"""`routewright plan` and `apply`, and `compile --apply` by a plan, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kombu.connection import Connection
from private_nodes import Broker
from terminal import as_process, routewright

pytestmark = pytest.mark.broker


TOPOLOGY = """
topology: shop
exchanges:
  tasks: {type: topic}
queues:
  video: {exchange: tasks, binding_key: "video.#"}
  image: {exchange: tasks, binding_key: "image.#"}
"""
MOVED = TOPOLOGY.replace(
    '"image.#"}', '"image.#"}\n  extra: {exchange: tasks, binding_key: "video.#"}'
).replace('video: {exchange: tasks, binding_key: "video.#"}', "video: {bindings: []}")
WITHOUT_IMAGE = "\n".join(it for it in TOPOLOGY.split("\n") if "image" not in it)


@pytest.fixture(autouse=True)
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTEWRIGHT_BROKER", broker.url)
    monkeypatch.setenv("ROUTEWRIGHT_MANAGEMENT", broker.node.management_url)
    write(TOPOLOGY)


def write(text: str) -> None:
    Path("topology.yaml").write_text(text)


def keys(broker: Broker) -> set[tuple[str, str, str]]:
    return {
        (str(it["source"]), str(it["destination"]), str(it["routing_key"]))
        for it in broker.bindings()
        if not str(it["source"]).startswith("routewright.")
    }


BOUND = {("tasks", "video", "video.#"), ("tasks", "image", "image.#")}


def test_a_plan_changes_nothing_and_its_file_does_what_it_says(broker: Broker) -> None:
    planned = as_process("plan", "-o", "plan.json")
    assert planned.returncode == 0, planned.stderr
    assert "create  exchange `tasks`" in planned.stdout
    assert planned.stdout.endswith("no key is lost or doubled at any moment between (proved).\n")
    assert keys(broker) == set()
    assert "guest" not in Path("plan.json").read_text()

    applied = routewright("apply", "plan.json")
    assert (applied.returncode, applied.stdout) == (0, "8 steps carried out.\n"), applied.stderr
    assert keys(broker) == BOUND
    again = routewright("apply", "plan.json")
    assert again.returncode == 1
    assert "the broker is not as it was" in again.stderr


def test_cron_is_told_of_drift_by_the_exit_code(broker: Broker) -> None:
    assert routewright("plan", "--exit-code").returncode == 1
    assert routewright("compile", "--apply").returncode == 0
    nothing = routewright("plan", "--exit-code")
    assert nothing.returncode == 0
    assert nothing.stdout == "Nothing to do: everything that is declared is there.\n"
    with Connection(broker.url) as connection:
        connection.channel().queue_unbind("video", "tasks", "video.#")
    drift = routewright("plan", "--exit-code")
    assert drift.returncode == 1
    assert "binding of queue `video` to exchange `tasks` with key `video.#`" in drift.stdout
    assert "gained: `video` on exchange `tasks`" in drift.stdout


def test_what_takes_something_away_needs_leave_by_its_code(broker: Broker) -> None:
    routewright("compile", "--apply")
    write(WITHOUT_IMAGE)
    planned = routewright("plan", "-o", "plan.json", "--format", "json")
    assert planned.returncode == 0
    found = json.loads(planned.stdout)
    assert found["needs"] == ["lose-keys", "remove-queue"]
    assert found == json.loads(Path("plan.json").read_text())
    refused = routewright("apply", "plan.json", "--allow", "remove-queue")
    assert refused.returncode == 1
    assert refused.stderr == "Nothing was changed: the plan needs --allow lose-keys.\n"
    assert keys(broker) == BOUND
    done = routewright("apply", "plan.json", "--allow", "remove-queue", "--allow", "lose-keys")
    assert done.returncode == 0, done.stderr
    assert keys(broker) == {("tasks", "video", "video.#")}
    assert [it["name"] for it in broker.queues("name")] == ["video"]


def test_compile_apply_does_what_is_safe_and_stops_at_what_needs_leave(broker: Broker) -> None:
    routewright("compile", "--apply")
    write(WITHOUT_IMAGE.replace('"video.#"', '"film.#"').replace("video:", "film:"))
    done = routewright("compile", "--apply")
    assert done.returncode == 1
    assert "left out without --allow lose-keys --allow remove-queue" in done.stdout
    assert "routewright apply plan.json --allow CODE" in done.stderr
    assert keys(broker) == {*BOUND, ("tasks", "film", "film.#")}


def test_compile_apply_moves_keys_by_exchanges_that_stand_in(broker: Broker) -> None:
    routewright("compile", "--apply")
    write(MOVED)
    done = routewright("compile", "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exchanges stand in for it meanwhile" in done.stdout
    assert "moved: `video` on exchange `tasks`: `video` before, `extra` after" in done.stdout
    assert keys(broker) == {("tasks", "extra", "video.#"), ("tasks", "image", "image.#")}
    assert routewright("plan", "--exit-code").returncode == 0


def test_another_argument_of_a_queue_needs_leave_to_replace_it(broker: Broker) -> None:
    routewright("compile", "--apply")
    write(TOPOLOGY.replace('"image.#"}', '"image.#", max_priority: 5}'))
    planned = routewright("plan")
    assert planned.returncode == 0
    assert (
        "conflict: queue `image`: `x-max-priority` is not set on the broker and `5` in the topology"
        in planned.stdout
    )
    safe = routewright("compile", "--apply")
    assert safe.returncode == 1
    assert "Left out without --allow replace-queue" in safe.stdout
    with Connection(broker.url) as connection:
        connection.Producer().publish("x", exchange="tasks", routing_key="image.a")
    routewright("plan", "-o", "plan.json")
    assert routewright("apply", "plan.json").returncode == 1
    done = routewright("apply", "plan.json", "--allow", "replace-queue")
    assert done.returncode == 0, done.stderr
    assert broker.queues("name", "arguments", "messages") == [
        {"name": "image", "arguments": {"x-max-priority": 5}, "messages": 1},
        {"name": "video", "arguments": {}, "messages": 0},
    ]


def test_what_is_there_otherwise_and_not_owned_is_left_alone(broker: Broker) -> None:
    with Connection(broker.url) as connection:
        connection.default_channel.queue_declare(
            "image", durable=True, auto_delete=False, arguments={"x-max-priority": 5}
        )
    result = routewright("compile", "--apply")
    assert result.returncode == 1
    assert "`x-max-priority` is `5` on the broker and not set in the topology" in result.stdout
    assert "queue `image` is otherwise than declared, and not owned" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no plan of routewright's"),
        ("[]", "is no plan of routewright's"),
        ('{"format": 2}', "is a plan of format 2, and this release reads 1"),
        ('{"format": 1}', "is no plan of routewright's"),
    ],
)
def test_a_file_that_is_no_plan_is_one_line(text: str, said: str) -> None:
    Path("plan.json").write_text(text)
    result = routewright("apply", "plan.json")
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_plan_that_was_changed_since_is_refused_in_one_line() -> None:
    routewright("plan", "-o", "plan.json")
    text = Path("plan.json").read_text()
    assert '"image"' in text
    Path("plan.json").write_text(text.replace('"image"', "7"))
    result = routewright("apply", "plan.json")
    assert result.returncode == 2
    assert result.stderr.endswith(
        "plan.json was changed after the plan was made: make a new plan\n"
    )
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["plan"], ["compile", "--apply"]])
def test_a_management_api_that_is_off_is_one_line(command: list[str]) -> None:
    result = routewright(*command, "--management", "http://ops:secret@127.0.0.1:1")
    assert result.returncode == 2
    assert result.stderr == (
        "routewright: the management API at http://127.0.0.1:1 cannot be reached: "
        "Connection refused\n"
    )


def test_without_the_management_api_a_plan_says_what_it_cannot_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ROUTEWRIGHT_MANAGEMENT")
    planned = routewright("plan", "-o", "plan.json")
    assert planned.returncode == 0
    assert "no management API is known (--management URL); over AMQP alone" in planned.stdout
    assert "proved" not in planned.stdout.splitlines()[-1]
    applied = routewright("apply", "plan.json")
    assert applied.returncode == 2
    assert "needs the management API" in applied.stderr
