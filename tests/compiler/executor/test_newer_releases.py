"""Differences of RabbitMQ 4.0 and newer that nobody who applies a topology may notice."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from private_nodes import Broker
from terminal import routewright

pytestmark = pytest.mark.broker

TOPOLOGY = """\
topology: media
exchanges: {tasks: {type: topic}}
queues:
  video: {exchange: tasks, binding_key: "video.#", max_priority: 9}
  image: {exchange: tasks, binding_key: "image.#", type: classic}
  audio: {exchange: tasks, binding_key: "audio.#", type: quorum}
"""


@pytest.fixture(autouse=True)
def _topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("topology.yaml").write_text(TOPOLOGY)


def run(command: str, broker: Broker, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ["--broker", broker.url, "--management", broker.node.management_url]
    return routewright(*command.split(), *where, *arguments)


def test_an_apply_that_creates_classic_queues_succeeds_and_says_so(newer_broker: Broker) -> None:
    first = run("compile --apply", newer_broker)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.endswith("11 steps carried out.\n")
    [video] = [it for it in newer_broker.queues("name", "arguments") if it["name"] == "video"]
    assert video["arguments"]["x-queue-type"] == "classic"  # the fact that this is about

    second = run("compile --apply", newer_broker)
    assert second.returncode == 0
    assert "Nothing to do" in second.stdout.splitlines()[-1]


def test_a_plan_that_creates_classic_queues_is_carried_out_and_leaves_nothing(
    newer_broker: Broker,
) -> None:
    planned = run("plan", newer_broker, "-o", "plan.json")
    assert planned.returncode == 0, planned.stderr
    applied = run("apply plan.json", newer_broker)
    assert (applied.returncode, applied.stderr) == (0, "")
    again = run("plan --format json", newer_broker)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["steps"] == []
