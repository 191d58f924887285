"""`routewright compile --apply`, as a person runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from kombu.connection import Connection
from private_nodes import Broker
from terminal import ROUTEWRIGHT, printed_on_terminal, routewright

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _the_guides_topology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("topology.yaml").write_text((ROOT / "topology.yaml").read_text())


def apply(*arguments: str) -> subprocess.CompletedProcess[str]:
    return routewright("compile", "--apply", *arguments)


def keys(broker: Broker) -> set[tuple[str, str, str]]:
    return {
        (str(it["source"]), str(it["destination"]), str(it["routing_key"]))
        for it in broker.bindings()
    }


GUIDE = {
    ("tasks", "video", "video.#"),
    ("tasks", "image", "image.#"),
    ("tasks", "lowpri", "misc.#"),
}


def test_the_first_run_declares_the_guides_bindings_and_the_second_has_nothing_to_do(
    broker: Broker,
) -> None:
    first = apply("--broker", broker.url)
    assert first.returncode == 0, first.stderr
    assert first.stdout.endswith("Created 1 exchange, 3 queues and 3 bindings.\n")
    assert keys(broker) == GUIDE
    second = apply("--broker", broker.url)
    assert second.returncode == 0
    assert second.stdout.splitlines()[-1] == (
        "Nothing to do: 1 exchange and 3 queues are as declared; 3 bindings confirmed."
    )
    assert keys(broker) == GUIDE


def test_a_queue_with_another_priority_is_told_with_both_values_and_nothing_is_changed(
    broker: Broker,
) -> None:
    with Connection(broker.url) as connection:
        connection.default_channel.queue_declare(
            "image", durable=True, auto_delete=False, arguments={"x-max-priority": 5}
        )
    result = apply("--broker", broker.url)
    assert result.returncode == 1
    assert result.stderr == (
        "conflict: queue `image`: `x-max-priority` is `5` on the broker and `9` in the topology\n"
        "The broker was not changed. It names one argument of an object; there may be more.\n"
    )
    assert keys(broker) == set()
    assert [queue["name"] for queue in broker.queues("name")] == ["image"]


def test_a_topology_with_errors_is_not_applied(broker: Broker) -> None:
    path = Path("topology.yaml")
    path.write_text(path.read_text().replace("video.compress", "vdieo.compress"))
    assert apply("--broker", broker.url).returncode == 1
    assert broker.queues("name") == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://guest:secret@127.0.0.1:1//", "127.0.0.1:1 cannot be reached"),
        ("amqp://guest:secret@no.such.host.invalid//", "cannot be reached"),
        ("secret", "the broker URL has no scheme"),
        ("magic://guest:secret@localhost//", "unknown scheme"),
    ],
)
def test_trouble_with_the_broker_is_one_line_and_exit_2_without_the_password(
    url: str, said: str
) -> None:
    result = apply("--broker", url, "--timeout", "2")
    assert result.returncode == 2
    assert result.stderr.startswith("routewright: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stdout + result.stderr


def test_wrong_credentials_and_a_missing_virtual_host_are_told_apart(broker: Broker) -> None:
    wrong = apply("--broker", broker.node.url(broker.vhost, password="wrong"))
    assert (wrong.returncode, "refuses user `guest` or the password" in wrong.stderr) == (2, True)
    missing = apply("--broker", broker.node.url("nowhere"))
    assert (missing.returncode, "`nowhere`" in missing.stderr) == (2, True)


def test_a_progress_bar_is_for_a_terminal_and_never_in_a_pipe(broker: Broker) -> None:
    piped = apply("--broker", broker.url)
    assert piped.stderr == ""
    shown = printed_on_terminal(
        [*ROUTEWRIGHT, "compile", "--apply", "--broker", broker.url], COLUMNS="100"
    )
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "Looking at the broker" in text
    assert "4/4" in text
    assert "Nothing to do" in text


def test_a_policy_is_not_set_over_amqp_and_the_command_says_what_does(broker: Broker) -> None:
    file = Path("topology.yaml")
    policy = '\npolicies: {limits: {pattern: "^video$", definition: {max_length: 1000}}}\n'
    file.write_text(file.read_text() + policy)
    done = apply("--broker", broker.url)
    assert done.returncode == 0, done.stderr
    assert "policy `limits`" in done.stderr
    (command,) = re.findall(r"`rabbitmqctl (import_definitions .*?)`", done.stderr)
    definitions = Path(command.split()[1])
    text = definitions.read_text().replace('"vhost": "/"', f'"vhost": "{broker.vhost}"')
    definitions.write_text(text)
    broker.node.ctl(*command.split()[:1], str(definitions.absolute()))
    assert "limits" in broker.node.ctl("list_policies", "-p", broker.vhost, "--quiet")
