"""The worker: no message kills it, no task is lost in it, and it stops when it is told to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import amqp
import pytest
from waiting import Eventually

from routewright.runtime import (
    LoginRefused,
    MalformedMessage,
    MissingQueue,
    NotRegistered,
    ResultTimeout,
    UnknownGroup,
    Worker,
    WorkerUsageError,
)
from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport.broker import LinkLost
from routewright.runtime.transport.consumer import Delivery
from routewright.runtime.transport.polling_transport import PollingTransport
from routewright.runtime.worker.command import load_app, run_worker
from routewright.runtime.worker.startup_checks import accepted
from routewright.runtime.worker.verdicts import Disposition, Settlement

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
    "id with a line break": {"application_headers": {"task": "t", "id": "1\n2"}},
    "task with an escape": {"application_headers": {"task": "t\x1b[2J", "id": "1"}},
    "a chain": {"body": '[[], {}, {"chain": [{"task": "t"}]}]'},
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
    queue = form.pop("queue", stage.queue)
    with stage.connection() as connection:
        connection.channel().basic_publish(
            amqp.Message(form.pop("body"), **form), exchange="", routing_key=queue
        )


@pytest.mark.broker
def test_no_message_kills_the_worker(rabbit: Any, eventually: Eventually) -> None:
    app = rabbit.app("t")
    app.task(name="t")(lambda: "alive")
    with rabbit.worker(app):
        for name, changes in BAD.items():
            put(rabbit, **changes)
            assert app.send_task("t").get(timeout=120) == "alive", name
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
        assert app.send_task("t").get(timeout=120) == "alive"
    assert rabbit.waiting() == 0


@pytest.mark.broker
def test_the_sender_of_a_refused_message_is_told(rabbit: Any) -> None:
    app = rabbit.app("t", "other")
    app.task(name="other")(lambda: None)
    elsewhere = rabbit.app(rabbit.route("other", serializer="pickle"))
    with rabbit.worker(app):
        with pytest.raises(NotRegistered, match="no task `t` in this worker"):
            app.send_task("t").get(timeout=120)
        with pytest.raises(MalformedMessage, match="is not accepted here"):
            elsewhere.send_task("other").get(timeout=120)


def test_only_the_topology_can_allow_a_pickle(memory: Any) -> None:
    app = memory.app("a", memory.route("b", serializer="pickle"))
    app.task(name="a", serializer="pickle")(lambda: None)
    group = app.router.group("group")
    harmless = {"application/json", "application/x-yaml", "application/x-msgpack"}
    assert accepted(group) == harmless
    assert accepted(replace(group, accept=("PICKLE",))) == {"application/x-python-serialize"}
    assert accepted(replace(group, accept=("json",))) == {"application/json"}


def test_a_worker_does_not_start_with_a_serializer_that_nobody_registered(memory: Any) -> None:
    app = memory.app("t")
    app.task(name="t")(lambda: None)
    with pytest.raises(WorkerUsageError, match="group group reads `cbor`"):
        Worker(app, replace(app.router.group("group"), accept=("json", "cbor")))


def test_as_many_tasks_run_at_a_time_as_the_group_says(stage: Any) -> None:
    app = stage.app("t")
    barrier = threading.Barrier(3)
    app.task(name="t")(lambda: barrier.wait(20) >= 0)
    with stage.worker(app, concurrency=3, prefetch=3):
        results = [app.send_task("t") for _ in range(3)]
        assert [result.get(timeout=120) for result in results] == [True] * 3


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
            T.delay().get(timeout=120)
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
        result.get(timeout=120)
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
        broker.node.close_connections(broker.vhost)
        assert app.send_task("t").get(timeout=120) == "quick"
        # The running task was delivered again. It does not run again, and it is acknowledged where
        # it came last.
        go.set()
        assert result.get(timeout=120) == "slow"
        eventually(lambda: rabbit.waiting() == 0)
    assert rabbit.waiting() == 0
    assert runs == [1]


@pytest.mark.broker
def test_a_queue_that_does_not_exist_is_said_at_once(rabbit: Any) -> None:
    app = rabbit.app("t")
    app.task(name="t")(lambda: None)
    with rabbit.connection() as connection:
        connection.channel().queue_delete(rabbit.queue)
    with pytest.raises(MissingQueue, match=rabbit.queue):
        Worker(app, app.router.group("group")).run()


@pytest.mark.broker
def test_a_login_that_the_broker_refuses_at_the_start_is_one_line(rabbit: Any) -> None:
    for url in (rabbit.url.replace("guest:guest", "guest:secret"), f"{rabbit.url}-not-there"):
        rabbit.url = url
        app = rabbit.app("t")
        app.task(name="t")(lambda: None)
        with pytest.raises(LoginRefused, match="cannot connect to amqp://") as caught:
            Worker(app, app.router.group("group")).run()
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_worker_without_code_for_its_tasks_says_so(
    memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tap = memory.route("tap", queues=(memory.queue, "far"), taps=(memory.queue,))
    app = memory.app("a", "b", tap, memory.route("far", queues=("far",)))
    with pytest.raises(WorkerUsageError, match=r"no code for task `a`, `b`; see App\(include="):
        Worker(app, app.router.group("group")).run()
    app.task(name="a")(lambda: None)
    with memory.worker(app):
        app.send_task("a").get(timeout=120)
    assert "no code for task `b`; see App(include=...)" in caplog.text


@pytest.mark.broker
def test_a_group_with_a_missing_queue_runs_the_tasks_of_the_others_once(
    rabbit: Any, broker: Any, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    other = f"{rabbit.queue}-other"
    rabbit.declare(other)
    app = rabbit.app("t")
    runs: list[int] = []
    app.task(name="t")(runs.append)
    with rabbit.worker(app, queues=(rabbit.queue, other)), rabbit.connection() as connection:
        app.send_task("t", [0]).get(timeout=120)
        put(rabbit, queue=other, body="[[1], {}, {}]")
        eventually(lambda: 1 in runs)
        channel: Any = connection.channel()
        channel.queue_delete(other)
        eventually(lambda: f"queue `{other}` is gone" in caplog.text)
        app.send_task("t", [2]).get(timeout=120)
        broker.node.close_connections(broker.vhost)
        eventually(lambda: f"without queue {other}" in caplog.text)
        app.send_task("t", [3]).get(timeout=120)
        rabbit.declare(other)
        put(rabbit, queue=other, body="[[4], {}, {}]")
        eventually(lambda: 4 in runs)
    # The topic exchange gives a copy to the other queue too, while it is there.
    assert {2: runs.count(2), 3: runs.count(3), 4: runs.count(4)} == {2: 1, 3: 1, 4: 1}


@pytest.mark.broker
def test_no_task_starts_before_every_queue_is_consumed(rabbit: Any) -> None:
    """At the start, one missing queue is the end of it; nothing may have run by then."""
    app = rabbit.app("t")
    runs: list[int] = []
    app.task(name="t")(lambda: runs.append(1))
    for _ in range(50):
        app.send_task("t", ignore_result=True)
    group = replace(app.router.group("group"), queues=(rabbit.queue, "gone"))
    for _ in range(5):
        with pytest.raises(MissingQueue, match="gone"):
            Worker(app, group).run()
    assert runs == []


def test_tasks_that_finish_do_not_cut_a_pause_short(memory: Any) -> None:
    app = memory.app("t")
    worker = Worker(app, app.router.group("group"))
    worker._backoff = Backoff(0.3, 30.0)
    waking = threading.Event()

    def wake() -> None:
        while not waking.wait(0.01):
            worker._waker.wake()

    thread = threading.Thread(target=wake)
    thread.start()
    started = time.monotonic()
    worker._back_off()
    assert time.monotonic() - started >= 0.3
    assert worker._backoff.pause == 0.6
    waking.set()
    thread.join()
    worker._waker.close()


def test_a_pause_grows_while_connections_last_only_moments(
    memory: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    def lose(*_: object) -> None:
        raise LinkLost("again")

    monkeypatch.setattr(PollingTransport, "wait", lose)
    monkeypatch.setattr("routewright.runtime.worker.worker.BACKOFF", (0.01, 1.0))
    app = memory.app("t")
    app.task(name="t")(lambda: None)
    with memory.worker(app) as worker:
        eventually(lambda: worker._backoff.pause >= 0.08)


@pytest.mark.broker
def test_a_refused_result_does_not_run_its_task_again(
    rabbit: Any, broker: Any, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    app = rabbit.app("t")
    runs: list[int] = []
    app.task(name="t")(runs.append)
    writing = ("set_permissions", "-p", broker.vhost, "guest", ".*")
    results = [app.send_task("t", [number]) for number in range(3)]
    broker.node.ctl(*writing, "^tasks$", ".*")
    with rabbit.worker(app):
        eventually(lambda: caplog.text.count("a result was refused by the broker"))
        eventually(lambda: sorted(runs) == [0, 1, 2])
        broker.node.ctl(*writing, ".*", ".*")
        # The broker remembers a permission for a moment.
        eventually(lambda: _answered(app.send_task("t", [3])))
    assert [runs.count(number) for number in range(3)] == [1, 1, 1]
    assert rabbit.waiting() == 0
    assert not any(result.ready() for result in results)


def _answered(result: Any) -> bool:
    try:
        result.get(timeout=1)
    except ResultTimeout:
        return False
    return True


class LosingConsumer:
    """Notes what it is told; its publishes lose the connection if they are to."""

    def __init__(self, *, loses: bool) -> None:
        self.told: list[str] = []
        self.loses = loses

    def publish(self, queue: str, _reply: object) -> None:
        self.told.append(f"publish {queue}")
        if self.loses:
            raise LinkLost("gone")

    def ack(self, _delivery: object) -> None:
        self.told.append("ack")


@pytest.mark.parametrize("loses", [False, True])
def test_a_result_is_sent_before_its_message_is_acknowledged(memory: Any, loses: bool) -> None:
    worker = Worker(memory.app("t"), memory.app().router.group("group"))
    consumer: Any = LosingConsumer(loses=loses)
    reply: Any = object()
    delivery = Delivery(Envelope("", "", "", {}), 1, "queue", consumer)
    worker._handover.owe(Settlement(delivery, Disposition.ACK, "replies", reply))
    with pytest.raises(LinkLost) if loses else nullcontext():
        worker._settle(consumer)
    worker._waker.close()
    assert consumer.told == ["publish replies", *([] if loses else ["ack"])]


def test_a_result_that_is_lost_with_the_connection_is_sent_when_its_message_comes_back(
    memory: Any,
) -> None:
    worker = Worker(memory.app("t"), memory.app().router.group("group"))
    lost: Any = LosingConsumer(loses=True)
    envelope = Envelope("", "", "", {"id": "1"})
    first = Delivery(envelope, 1, "queue", lost)
    worker._deliveries.receive(first)
    reply: Any = Envelope("", "", "", {})
    worker._handover.owe(Settlement(first, Disposition.ACK, "replies", reply, final=True))
    with pytest.raises(LinkLost):
        worker._settle(lost)

    consumer: Any = LosingConsumer(loses=False)
    worker._deliveries.receive(Delivery(envelope, 1, "queue", consumer, redelivered=True))
    worker._settle(consumer)
    worker._waker.close()
    assert consumer.told == ["publish replies", "ack"]


def test_what_waits_in_the_worker_is_handed_back_before_the_broker_is_told(memory: Any) -> None:
    """Cancelling takes a round trip, in which a task thread would start what waits."""
    worker = Worker(memory.app("t"), memory.app().router.group("group"), grace=0)
    waiting: list[int] = []

    class Cancelled(LosingConsumer):
        def reject(self, _delivery: object, *, requeue: bool) -> None:
            assert requeue

        def cancel(self) -> None:
            waiting.append(worker._handover._ready.qsize())

    consumer: Any = Cancelled(loses=False)
    worker._deliveries.receive(Delivery(Envelope("", "", "", {}), 1, "queue", consumer))
    worker._wind_down(consumer)
    worker._waker.close()
    assert waiting == [0]


def test_a_message_cannot_forge_the_log(memory: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = memory.app("t")

    @app.task(name="t")
    def fail(text: str) -> None:
        raise ValueError(text)

    with memory.worker(app), pytest.raises(ValueError, match="forged"):
        app.send_task("t", ["\x1b[2J\n2026 forged\r"]).get(timeout=120)
    assert "\x1b" not in caplog.text
    assert "\r" not in caplog.text
    assert not [line for line in caplog.text.splitlines() if line.startswith("2026 forged")]


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
    code = (
        "from routewright.runtime.worker.command import run_worker; run_worker('jobs:app', 'group')"
    )
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
    assert [results[number].get(timeout=120) for number in done] == done
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
        ("class A:\n    __slots__ = ()\na = A()", "{}:a.app", "has no `a.app`"),
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
        result.get(timeout=120)
    assert f"group group: queues {memory.queue}; 2 at a time" in caplog.text
    assert f"t[{result.id}] SUCCESS in " in caplog.text


@pytest.mark.redis
def test_a_task_goes_there_and_back_over_redis(redis_server: Any, memory: Any) -> None:
    memory.url = redis_server.url() if callable(redis_server.url) else redis_server.url
    app = memory.app("t")
    app.task(name="t")(lambda x: x)
    with memory.worker(app):
        started = time.monotonic()
        assert app.send_task("t", [json.loads("1")]).get(timeout=120) == 1
        assert time.monotonic() - started < 5
