"""The private nodes themselves: what other tests take for granted."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from private_nodes import NodeFailed, RabbitMQ, Redis

TESTS = Path(__file__).parents[1]


def _declare_and_publish(url: str) -> None:
    arguments = {"x-message-ttl": 600_000}
    queue = Queue("video", Exchange("tasks", "topic"), "video.#", queue_arguments=arguments)
    # Only what the broker confirmed does it have on disk.
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        queue(connection.default_channel).declare()
        connection.Producer().publish(
            {"film": 1}, exchange="tasks", routing_key="video.compress", delivery_mode=2
        )


def _family(pid: int) -> set[int]:
    """A process and all below it."""
    parents = {child: parent for child, (parent, _) in _processes().items()}
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def _processes() -> dict[int, tuple[int, str]]:
    """The parent and the start time of all processes, by pid; a zombie has ended already."""
    processes = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if fields[0] != "Z":
            processes[int(file.parent.name)] = (int(fields[1]), fields[19])
    return processes


def _assert_gone(family: dict[int, str], directory: Path) -> None:
    """Wait until none of these processes, known by pid and start time, nor their data are left."""
    deadline = time.monotonic() + 10
    left: set[int] = set(family)
    while time.monotonic() < deadline and (left or directory.exists()):
        now = _processes()
        left = {pid for pid, started in family.items() if now.get(pid, (0, ""))[1] == started}
        time.sleep(0.05)
    assert not left
    assert not directory.exists()


def _with_start_times(pids: set[int]) -> dict[int, str]:
    return {pid: started for pid, (_, started) in _processes().items() if pid in pids}


def test_a_killed_node_comes_back_with_its_durable_queues_and_messages(
    private_rabbitmq: Callable[..., RabbitMQ],
) -> None:
    node = private_rabbitmq()
    _declare_and_publish(node.url())
    port, first_pid = node.port, node.pid

    node.kill()
    with pytest.raises(OSError, match="refused"):
        Connection(node.url()).connect()
    node.restart()

    assert (node.port, node.running) == (port, True)
    assert node.pid != first_pid
    assert node.list_queues("/", "name", "messages", "arguments") == [
        {"name": "video", "messages": 1, "arguments": {"x-message-ttl": 600_000}}
    ]


def test_a_stopped_node_starts_again(private_rabbitmq: Callable[..., RabbitMQ]) -> None:
    node = private_rabbitmq("default_vhost = films", management=False)
    _declare_and_publish(node.url("films"))
    node.stop()
    assert not node.running
    node.start()
    assert [binding["routing_key"] for binding in node.list_bindings("films")] == ["video.#"]


def test_two_nodes_know_nothing_of_each_other(
    rabbitmq: RabbitMQ, private_rabbitmq: Callable[..., RabbitMQ]
) -> None:
    other = private_rabbitmq()
    _declare_and_publish(other.url())
    assert other.list_bindings()
    assert rabbitmq.list_bindings() == []

    family = _with_start_times(_family(other.pid))
    assert len(family) > 1
    other.close()
    _assert_gone(family, other.directory)
    assert rabbitmq.list_queues() == []


def test_a_fresh_virtual_host_is_empty_and_goes_away(rabbitmq: RabbitMQ) -> None:
    first, second = rabbitmq.fresh_vhost(), rabbitmq.fresh_vhost()
    _declare_and_publish(rabbitmq.url(first))
    assert rabbitmq.list_bindings(first) != []
    assert rabbitmq.list_bindings(second) == []
    rabbitmq.delete_vhost(first)
    rabbitmq.delete_vhost(second)
    assert [vhost["name"] for vhost in rabbitmq.api("GET", "/vhosts")] == ["/"]


@pytest.mark.broker
@pytest.mark.parametrize("kind", [RabbitMQ, Redis])
def test_nothing_outlives_a_killed_test_run(
    kind: type[RabbitMQ | Redis], request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("private_rabbitmq" if kind is RabbitMQ else "private_redis")
    program = (
        f"import time; from private_nodes import {kind.__name__} as Node\n"
        "node = Node().start(); print(node.directory, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(TESTS / "nodes")},
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None
        directory = Path(run.stdout.readline().strip())
        family = _with_start_times(_family(run.pid) - {run.pid})
        run.send_signal(signal.SIGKILL)
    assert len(family) > 1
    _assert_gone(family, directory)


def test_a_node_that_does_not_start_shows_its_log(
    private_rabbitmq: Callable[..., RabbitMQ],
) -> None:
    with pytest.raises(NodeFailed, match="no_such_setting"):
        private_rabbitmq("no_such_setting = 1")


def test_a_killed_redis_comes_back_empty(private_redis: Callable[..., Redis]) -> None:
    server = private_redis("--maxmemory", "8mb")
    url = server.url
    server.kill()
    assert not server.running
    server.restart()
    server.flush()
    assert (server.url, server.running) == (url, True)
