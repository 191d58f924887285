"""The worker: no message kills it, no task is lost in it, and it stops when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest

from routewright.runtime import MissingQueue, NotRegistered, UnknownGroup, Worker, WorkerUsageError
from routewright.runtime.command import load_app, run_worker
from routewright.runtime.worker import accepted

Eventually = Callable[..., None]
GOOD: Any = {
    "body": "[[], {}, {}]",
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "application_headers": {"task": "t", "id": "1"},
}
BAD = {
    "no id": {"application_headers": {"task": "t"}},
    "no task": {"application_headers": {"id": "1"}},
    "no headers": {"application_headers": None},
    "two parts": {"body": "[[], {}]"},
    "broken json": {"body": "{"},
    "no body": {"body": ""},
    "pickle": {"content_type": "application/x-python-serialize", "body": b"cos\nsystem\n."},
    "no content type": {"content_type": None},
    "empty content type": {"content_type": ""},
    "binary": {"content_type": "application/data", "content_encoding": "binary", "body": b"\0"},
    "strange encoding": {"content_encoding": "klingon", "body": b"\xff"},
    "time limit of one": {"application_headers": {"task": "t", "id": "1", "timelimit": [3]}},
    "number as id": {"application_headers": {"task": "t", "id": 5}},
    "list as task": {"application_headers": {"task": ["t"], "id": "1"}},
    "long id": {"application_headers": {"task": "t", "id": "x" * 9000}, "reply_to": "replies"},
    "expiry in words": {"application_headers": {"task": "t", "id": "1", "expires": "soon"}},
    "compressed with nothing": {
        "application_headers": {"task": "t", "id": "1", "compression": "no-such"}
    },
    "reply to nowhere": {"application_headers": {"task": "?", "id": "1"}, "reply_to": "nowhere"},
    "unknown task": {"application_headers": {"task": "?", "id": "1"}},
    "wrong arguments": {"body": "[[1, 2, 3], {}, {}]"},
}


def put(stage: Any, **changes: Any) -> None:
    """Publish a message as it stands, past all of our own code."""
    form = {**GOOD, **changes}
    with stage.connection() as connection:
        connection.channel().basic_publish(
            amqp.Message(form.pop("body"), **form), exchange="", routing_key=stage.queue
        )


@pytest.mark.broker
def test_no_message_kills_the_worker(rabbit: Any, eventually: Eventually) -> None:
    app = rabbit.app("t")
    app.task(name="t")(lambda: "alive")
    with rabbit.worker(app):
        for name, changes in BAD.items():
            put(rabbit, **changes)
            assert app.send_task("t").get(timeout=20) == "alive", name
        eventually(lambda: rabbit.waiting() == 0)
    assert rabbit.waiting() == 0  # and nothing comes back when the worker goes


@pytest.mark.broker
def test_properties_that_python_cannot_read_do_not_stop_the_queue(
    rabbit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timestamp in milliseconds, as some clients send it, is beyond Python's years."""
    app = rabbit.app("t")
    app.task(name="t")(lambda: "alive")
    pack = amqp.basic_message.Message._serialize_properties

    def serialize(message: Any) -> bytes:
        if "timestamp" not in message.properties:
            return bytes(pack(message))
        return b"\x00\x40" + (1_700_000_000_000_000).to_bytes(8, "big")

    monkeypatch.setattr(amqp.basic_message.Message, "_serialize_properties", serialize)
    with rabbit.worker(app):
        put(rabbit, timestamp=1)
        assert app.send_task("t").get(timeout=20) == "alive"
    assert rabbit.waiting() == 0


@pytest.mark.broker
def test_the_sender_of_a_refused_message_is_told(rabbit: Any) -> None:
    app = rabbit.app("t")
    with rabbit.worker(app):
        with pytest.raises(NotRegistered, match="no task `t` in this worker"):
            app.send_task("t").get(timeout=20)
        with pytest.raises(Exception, match="is not accepted here"):
            app.send_task("t", serializer="pickle").get(timeout=20)


def test_only_the_topology_can_allow_a_pickle(memory: Any) -> None:
    app = memory.app("a", "b")
    app.task(name="a", serializer="yaml")(lambda: None)
    app.task(name="b", serializer="pickle")(lambda: None)
    group = app.router.group("group")
    assert accepted(app, group) == {"application/json", "application/x-yaml"}
    app = memory.app(memory.route("a", serializer="pickle"))
    assert "application/x-python-serialize" in accepted(app, group)
    app = memory.app(memory.route("a", serializer="pickle", queues=("elsewhere",)))
    assert accepted(app, group) == {"application/json"}


def test_as_many_tasks_run_at_a_time_as_the_group_says(stage: Any) -> None:
    app = stage.app("t")
    barrier = threading.Barrier(3)
    app.task(name="t")(lambda: barrier.wait(20) >= 0)
    with stage.worker(app, concurrency=3, prefetch=3):
        results = [app.send_task("t") for _ in range(3)]
        assert [result.get(timeout=20) for result in results] == [True] * 3


def test_a_class_is_made_once(memory: Any) -> None:
    from routewright.runtime import Task  # noqa: PLC0415

    the_app = memory.app("t")
    made: list[object] = []

    class T(Task):
        app = the_app
        name = "t"

        def __init__(self) -> None:
            made.append(self)

        def run(self) -> None: ...

    with memory.worker(the_app):
        for _ in range(3):
            T.delay().get(timeout=20)
    assert len(made) == 1


@pytest.mark.broker
def test_a_task_is_acknowledged_only_when_it_is_over(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    started, go = threading.Event(), threading.Event()

    @app.task(name="t")
    def wait() -> None:
        started.set()
        go.wait(20)

    def unacknowledged() -> int:
        [row] = [
            row
            for row in broker.queues("name", "messages_unacknowledged")
            if row["name"] == rabbit.queue
        ]
        return int(row["messages_unacknowledged"])

    with rabbit.worker(app):
        result = wait.delay()
        assert started.wait(20)
        assert unacknowledged() == 1
        go.set()
        result.get(timeout=20)
    assert rabbit.waiting() == 0


@pytest.mark.broker
def test_a_worker_comes_back_after_its_connection_was_closed(
    rabbit: Any, broker: Any, eventually: Eventually
) -> None:
    app = rabbit.app("slow", "t")
    started, go = threading.Event(), threading.Event()
    runs: list[int] = []

    @app.task(name="slow")
    def slow() -> str:
        runs.append(1)
        started.set()
        go.wait(20)
        return "slow"

    app.task(name="t")(lambda: "quick")
    with rabbit.worker(app):
        result = slow.delay()
        assert started.wait(20)
        broker.node.ctl("close_all_connections", "--vhost", broker.vhost, "maintenance")
        # The running task was delivered again; neither copy is acknowledged where it must not be.
        eventually(lambda: len(runs) == 2)
        go.set()
        assert result.get(timeout=20) == "slow"
        assert app.send_task("t").get(timeout=20) == "quick"
        eventually(lambda: rabbit.waiting() == 0)
    assert rabbit.waiting() == 0


@pytest.mark.broker
def test_a_queue_that_does_not_exist_is_said_at_once(rabbit: Any) -> None:
    app = rabbit.app("t")
    with rabbit.connection() as connection:
        connection.channel().queue_delete(rabbit.queue)
    with pytest.raises(MissingQueue, match=rabbit.queue):
        Worker(app, app.router.group("group")).run()


JOBS = """
import os, pathlib, sys, time
from routewright.runtime import App, Group, Route, Router

here = pathlib.Path(__file__).parent
url, queue = (here / "where").read_text().split()
routes = [Route("jobs.work", "tasks", "work.do", (queue,))]
groups = [Group("group", (queue,), concurrency=2, prefetch=6)]
router = Router(
    topology="t", source="", target="", vhost=None, routes=routes, groups=groups
)
app = App(router, url)

@app.task
def work(number):
    (here / f"started-{number}").touch()
    while not (here / "go").exists():
        time.sleep(0.01)
    return number
"""


@pytest.fixture
def jobs(rabbit: Any, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A worker process that runs two tasks at a time, and the folder they work in."""
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "where").write_text(f"{rabbit.url} {rabbit.queue}")
    code = "from routewright.runtime.command import run_worker; run_worker('jobs:app', 'group')"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process, tmp_path
        process.kill()


@pytest.mark.broker
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_tasks_finish_and_gives_the_others_back(
    rabbit: Any,
    jobs: tuple[subprocess.Popen[str], Path],
    eventually: Eventually,
    number: signal.Signals,
) -> None:
    process, folder = jobs
    app = rabbit.app("jobs.work")
    results = [app.send_task("jobs.work", [number]) for number in range(6)]
    eventually(lambda: len(list(folder.glob("started-*"))) == 2)

    process.send_signal(number)
    eventually(lambda: rabbit.waiting() == 4)
    assert process.poll() is None
    (folder / "go").touch()
    _, log = process.communicate(timeout=20)

    assert process.returncode == 0, log
    assert "group group: stopped" in log
    assert len(list(folder.glob("started-*"))) == 2
    done = sorted(int(file.name.rpartition("-")[2]) for file in folder.glob("started-*"))
    assert [results[number].get(timeout=20) for number in done] == done
    assert rabbit.waiting() == 4


@pytest.mark.broker
def test_a_second_signal_ends_the_worker_at_once_and_loses_nothing(
    rabbit: Any, jobs: tuple[subprocess.Popen[str], Path], eventually: Eventually
) -> None:
    process, folder = jobs
    app = rabbit.app("jobs.work")
    for number in range(6):
        app.send_task("jobs.work", [number], ignore_result=True)
    eventually(lambda: len(list(folder.glob("started-*"))) == 2)
    process.terminate()
    eventually(lambda: rabbit.waiting() == 4)
    process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    eventually(lambda: rabbit.waiting() == 6)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (None, "nowhere:app", "no module `nowhere`"),
        (None, "app", "is not MODULE:APP"),
        ("import nowhere", "{}:app", "importing `{}` failed: ModuleNotFoundError"),
        ("1 / 0", "{}:app", r"failed: ZeroDivisionError: division by zero \(.*{}.py:1\)"),
        ("raise SystemExit(0)", "{}:app", "failed: SystemExit: 0"),
        ("app = 1", "{}:app", "is no App but int"),
        ("app = 1", "{}:ap", "module `{}` has no `ap`"),
    ],
)
def test_an_app_that_cannot_be_had_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    path: str,
    message: str,
    request: pytest.FixtureRequest,
) -> None:
    name = f"app_{abs(hash(request.node.name))}"
    if text is not None:
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(WorkerUsageError, match=message.replace("{}", name)) as caught:
        load_app(path.replace("{}", name))
    assert "\n" not in str(caught.value)


def test_a_group_the_topology_does_not_declare_is_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs_in_memory.py").write_text(JOBS)
    (tmp_path / "where").write_text("memory:// nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(UnknownGroup, match="did you mean `group`"):
        run_worker("jobs_in_memory:app", "grup")


def test_a_worker_logs_where_it_works_and_each_task(
    memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = memory.app("t")
    app.task(name="t")(lambda: None)
    with caplog.at_level("INFO", "routewright.worker"), memory.worker(app):
        result = app.send_task("t")
        result.get(timeout=20)
    assert f"group group: queues {memory.queue}; 2 at a time" in caplog.text
    assert f"t[{result.id}] SUCCESS in " in caplog.text


@pytest.mark.redis
def test_a_task_goes_there_and_back_over_redis(redis_server: Any, memory: Any) -> None:
    memory.url = redis_server.url() if callable(redis_server.url) else redis_server.url
    app = memory.app("t")
    app.task(name="t")(lambda x: x)
    with memory.worker(app):
        started = time.monotonic()
        assert app.send_task("t", [json.loads("1")]).get(timeout=20) == 1
        assert time.monotonic() - started < 5
