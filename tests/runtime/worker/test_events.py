"""Events: what Celery's own receiver, and Flower, see of senders and workers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from amqp.exceptions import NotFound
from celery import Celery
from kombu.connection import Connection
from private_nodes.ports import Ports
from project import Project
from waiting import Eventually

pytestmark = pytest.mark.broker

ALWAYS = {"type", "hostname", "timestamp", "utcoffset", "pid", "clock", "local_received"}
WORKER = {"freq", "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys"}
TASK = {"uuid", "name", "args", "kwargs", "root_id", "parent_id", "retries", "eta", "expires"}
FIELDS = {
    "worker-online": WORKER,
    "worker-heartbeat": WORKER,
    "worker-offline": WORKER,
    "task-sent": TASK | {"queue", "exchange", "routing_key"},
    "task-received": TASK,
    "task-started": {"uuid"},
    "task-succeeded": {"uuid", "result", "runtime"},
    "task-failed": {"uuid", "exception", "traceback"},
    "task-retried": {"uuid", "exception", "traceback"},
    "task-revoked": {"uuid", "terminated", "signum", "expired"},
    "task-rejected": {"uuid", "requeue"},
}


TOPOLOGY = """
topology: shop
target: rabbitmq-3.10
events: true
delays: {resolution: 50ms, max: 1h}
defaults: {exchange: tasks}
exchanges:
  tasks: {type: topic}
  dead: {type: fanout}
queues:
  work: {exchange: tasks, binding_key: "work.#", dead_letter: {exchange: dead}}
  dead: {bindings: [{exchange: dead}], tap: true}
tasks:
  jobs.add:   {routing_key: work.add}
  jobs.fail:  {routing_key: work.fail}
  jobs.again: {routing_key: work.again, retry: {max: 1, backoff: 10ms, jitter: false}}
  jobs.stuck: {routing_key: work.stuck, time_limit: 100ms}
  jobs.odd:   {routing_key: work.odd, ignore_result: true}
workers:
  all: {queues: [work], concurrency: 2}
"""

CODE = """
import sys, time
from routewright.runtime import App
from shop_routing import router

app = App(router)

@app.task
def add(x, y=0):
    return x + y

@app.task
def fail():
    raise ValueError("no such thing")

@app.task
def again():
    raise ValueError("not now")

@app.task
def stuck():
    time.sleep(3600)

class Odd:
    def __repr__(self):
        sys.exit("a text is asked for")

@app.task
def odd():
    return Odd()
"""


class Seen:
    """The events that arrived, in order."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def of(self, task_id: str) -> list[str]:
        return [it["type"] for it in self.all if it.get("uuid") == task_id]

    def one(self, kind: str, task_id: str | None = None) -> dict[str, Any]:
        found = [it for it in self.all if it["type"] == kind and it.get("uuid") == task_id]
        assert len(found) == 1
        return found[0]

    def kinds(self) -> set[str]:
        return {it["type"] for it in self.all}


@contextmanager
def receiving(url: str) -> Iterator[Seen]:
    """Celery's own receiver of events, in a thread."""
    seen, ready, over = Seen(), threading.Event(), threading.Event()

    def receive() -> None:
        with Celery(broker=url).connection_for_read() as connection:
            receiver = Celery(broker=url).events.Receiver(
                connection, handlers={"*": seen.all.append}
            )
            with receiver.consumer_context() as (own, _channel, _consumers):
                ready.set()
                while not over.is_set():
                    with suppress(TimeoutError):
                        own.drain_events(timeout=0.1)

    thread = threading.Thread(target=receive)
    thread.start()
    assert ready.wait(20)
    try:
        yield seen
    finally:
        over.set()
        thread.join(20)


@pytest.fixture
def shop(broker: Any, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, broker.url, TOPOLOGY, CODE)
    yield project
    project.close()


def raw(shop: Project, **headers: Any) -> None:
    """A message by a sender that is not ours, and sends no events."""
    with Connection(shop.url) as connection:
        connection.Producer().publish(
            [[], {}, {}], exchange="tasks", routing_key="work.raw", headers=headers
        )


def test_a_task_is_followed_from_its_sender_to_its_end(
    shop: Project, eventually: Eventually
) -> None:
    with receiving(shop.url) as seen, shop.client() as jobs:
        with shop.worker():
            eventually(lambda: "worker-heartbeat" in seen.kinds())
            result = jobs.add.delay(2, y=3)
            assert result.get(timeout=120) == 5
            eventually(lambda: "task-succeeded" in seen.of(result.id))
        eventually(lambda: "worker-offline" in seen.kinds())
    ended = ["task-received", "task-started", "task-succeeded"]
    assert [it for it in seen.of(result.id) if it != "task-sent"] == ended
    sent = seen.one("task-sent", result.id)
    assert sent["hostname"] == f"gen{os.getpid()}@{socket.gethostname()}"
    assert (sent["name"], sent["args"], sent["kwargs"]) == ("jobs.add", "(2,)", "{'y': 3}")
    assert (sent["exchange"], sent["routing_key"]) == ("tasks", "work.add")
    assert sent["queue"] == "work"
    received = seen.one("task-received", result.id)
    assert received["hostname"] == f"all@{socket.gethostname()}"
    assert {it: received[it] for it in TASK} == {it: sent[it] for it in TASK}
    succeeded = seen.one("task-succeeded", result.id)
    assert succeeded["result"] == "5"
    assert 0 <= succeeded["runtime"] < 20
    offline = seen.one("worker-offline")
    assert (offline["active"], offline["processed"], offline["freq"]) == (0, 1, 2.0)
    assert offline["sw_ident"] == "routewright"
    assert [it["type"] for it in seen.all if "uuid" not in it][:2] == [
        "worker-online",
        "worker-heartbeat",
    ]


def test_every_end_of_a_task_has_its_event_with_the_fields_of_celerys(
    shop: Project, eventually: Eventually
) -> None:
    with receiving(shop.url) as seen, shop.client() as jobs:
        with shop.worker():
            failed, again, stuck = jobs.fail.delay(), jobs.again.delay(), jobs.stuck.delay()
            odd = jobs.odd.delay()
            raw(
                shop,
                task="jobs.add",
                id="late",
                expires=datetime(2020, 1, 1, tzinfo=UTC).isoformat(),
            )
            raw(shop, task="jobs.unknown", id="unknown", retries="many", argsrepr=7)
            eventually(lambda: "task-failed" in seen.of(failed.id))
            eventually(lambda: "task-failed" in seen.of(again.id))
            eventually(lambda: "task-failed" in seen.of(stuck.id))
            eventually(lambda: "task-succeeded" in seen.of(odd.id))
            eventually(lambda: "task-revoked" in seen.of("late"))
            eventually(lambda: "task-rejected" in seen.of("unknown"))
            eventually(lambda: "worker-heartbeat" in seen.kinds())
        eventually(lambda: "worker-offline" in seen.kinds())
    assert seen.kinds() == set(FIELDS)
    for each in seen.all:
        assert set(each) == ALWAYS | FIELDS[each["type"]]
    failure = seen.one("task-failed", failed.id)
    assert failure["exception"] == "ValueError('no such thing')"
    assert failure["traceback"].endswith("ValueError: no such thing\n")
    tried = ["task-received", "task-started", "task-retried"]
    given_up = ["task-received", "task-started", "task-failed"]
    assert [it for it in seen.of(again.id) if it != "task-sent"] == tried + given_up
    assert [it["retries"] for it in seen.all if it["type"] == "task-received"].count(1) == 1
    assert seen.one("task-retried", again.id)["exception"] == "ValueError('not now')"
    assert "TimeLimitExceeded" in seen.one("task-failed", stuck.id)["exception"]
    assert seen.one("task-succeeded", odd.id)["result"] == "<Odd without a repr>"
    assert seen.of("late") == ["task-received", "task-revoked"]
    revoked = seen.one("task-revoked", "late")
    assert (revoked["expired"], revoked["terminated"], revoked["signum"]) == (True, False, None)
    assert seen.of("unknown") == ["task-received", "task-rejected"]
    assert seen.one("task-rejected", "unknown")["requeue"] is False


def test_each_process_of_a_group_is_a_node(shop: Project, eventually: Eventually) -> None:
    with receiving(shop.url) as seen:
        with shop.worker("all", "--processes", "2"):
            eventually(lambda: {it["hostname"] for it in seen.all} >= nodes)
        eventually(lambda: len([it for it in seen.all if it["type"] == "worker-offline"]) == 2)
    assert {it["hostname"] for it in seen.all} == nodes
    assert len({it["pid"] for it in seen.all}) == 2


nodes = {f"all-{number}@{socket.gethostname()}" for number in (0, 1)}


def test_tasks_sent_in_a_pipeline_and_on_a_connection_of_ones_own_have_their_events(
    shop: Project, eventually: Eventually
) -> None:
    with receiving(shop.url) as seen, shop.client() as jobs:
        with jobs.app.pipeline():
            many = [jobs.odd.delay() for _ in range(50)]
        with jobs.app.establish_connection() as connection:
            many.append(jobs.odd.apply_async(connection=connection))
        many.append(jobs.odd.apply_async(countdown=3600))
        eventually(lambda: len(seen.all) == len(many))
        assert {it["uuid"] for it in seen.all} == {it.id for it in many}
        assert {(it["exchange"], it["queue"]) for it in seen.all} == {("tasks", "work")}
        assert seen.one("task-sent", many[-1].id)["eta"] is not None


def test_nothing_is_published_unless_the_topology_says_so(broker: Any, tmp_path: Path) -> None:
    shop = Project(tmp_path, broker.url, TOPOLOGY.replace("events: true\n", ""), CODE)
    assert "events" not in (tmp_path / "shop_routing" / "router.py").read_text()
    with shop.client() as jobs, shop.worker():
        assert jobs.add.delay(1, 2).get(timeout=120) == 3
    with Connection(broker.url) as connection, pytest.raises(NotFound):
        connection.channel().exchange_declare("celeryev", "topic", passive=True)


def test_a_broker_that_takes_no_events_is_sent_tasks_and_runs_them_all_the_same(
    shop: Project, eventually: Eventually
) -> None:
    with Connection(shop.url) as connection:
        connection.channel().exchange_declare("celeryev", "direct", durable=True, auto_delete=False)
    with shop.client() as jobs, shop.worker():
        assert [jobs.add.delay(n).get(timeout=120) for n in range(5)] == [0, 1, 2, 3, 4]
        eventually(lambda: "no events for now" in shop.log())


def test_an_exchange_for_events_that_is_deleted_harms_no_send(shop: Project) -> None:
    with shop.client() as jobs, shop.worker():
        assert jobs.add.delay(1).get(timeout=120) == 1
        with Connection(shop.url) as connection:
            connection.channel().exchange_delete("celeryev")
        with jobs.app.pipeline():
            many = [jobs.add.delay(n) for n in range(200)]
        assert [it.get(timeout=120) for it in many] == list(range(200))
        assert [jobs.add.delay(n).get(timeout=120) for n in range(5)] == [0, 1, 2, 3, 4]


def test_a_broker_that_is_lost_meanwhile_costs_events_and_no_task(
    fragile_broker: Any, tmp_path: Path, eventually: Eventually
) -> None:
    node = fragile_broker.node
    shop = Project(tmp_path, fragile_broker.url, TOPOLOGY, CODE)
    with shop.client() as jobs, shop.worker():
        before = [jobs.add.delay(n) for n in range(20)]
        assert [it.get(timeout=120) for it in before] == list(range(20))
        node.kill()
        node.start()
        after = [jobs.add.delay(n) for n in range(20)]
        with receiving(fragile_broker.url) as seen:
            assert [it.get(timeout=60) for it in after] == list(range(20))
            eventually(lambda: "worker-heartbeat" in seen.kinds(), within=60)
            last = jobs.add.delay(1)
            eventually(lambda: "task-succeeded" in seen.of(last.id))


def test_a_broker_that_blocks_publishers_still_hears_which_tasks_are_done(
    fragile_broker: Any, tmp_path: Path, eventually: Eventually
) -> None:
    node = fragile_broker.node
    shop = Project(tmp_path, fragile_broker.url, TOPOLOGY, CODE)
    with shop.client() as jobs, jobs.app.pipeline():
        for _ in range(50):
            jobs.odd.delay()
    node.alarm()
    with shop.worker():
        eventually(lambda: messages(fragile_broker, "work") == 0)


def messages(broker: Any, queue: str) -> int:
    """How many there are in a queue, those included that are not acknowledged."""
    queues = broker.queues("name", "messages")
    return next(int(it["messages"]) for it in queues if it["name"] == queue)


@pytest.mark.redis
def test_events_reach_celery_over_redis(
    redis_server: Any, memory: Any, eventually: Eventually
) -> None:
    memory.url = redis_server.url
    app = memory.app("t", events=True)
    app.task(name="t")(lambda x: x)
    with receiving(memory.url) as seen:
        with memory.worker(app):
            eventually(lambda: "worker-online" in seen.kinds())
            result = app.send_task("t", [1])
            assert result.get(timeout=120) == 1
            eventually(lambda: "task-succeeded" in seen.of(result.id))
        eventually(lambda: "worker-offline" in seen.kinds())
    assert "task-sent" in seen.of(result.id)


@contextmanager
def flower(url: str, folder: Path) -> Iterator[Callable[[str], Any]]:
    """A Flower of its own, asked over its HTTP API."""
    ports = Ports(1)
    [port] = ports.numbers
    with (folder / "flower.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", f"--broker={url}", "flower"),
                *("--address=127.0.0.1", f"--port={port}", "--max_workers=10"),
            ],
            cwd=folder,
            env={**os.environ, "FLOWER_UNAUTHENTICATED_API": "true"},
            stdout=log,
            stderr=log,
        )

        def ask(path: str) -> Any:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    return json.load(answer)
            except OSError:
                assert process.poll() is None, (folder / "flower.log").read_text()
                return {}

        try:
            yield ask
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()
                ports.close()


def test_flower_shows_the_worker_and_the_success_of_a_task(
    shop: Project, eventually: Eventually
) -> None:
    node = f"all@{socket.gethostname()}"
    with flower(shop.url, shop.folder) as ask, shop.client() as jobs, shop.worker():
        eventually(lambda: ask("/api/workers?status=true").get(node) is True, within=60)
        result = jobs.add.delay(2, y=3)
        assert result.get(timeout=120) == 5

        def task() -> dict[str, Any]:
            found: dict[str, Any] = ask("/api/tasks").get(result.id, {})
            return found

        eventually(lambda: task().get("state") == "SUCCESS", within=30)
        found = task()
    assert (found["name"], found["worker"], found["result"]) == ("jobs.add", node, "5")
    assert (found["args"], found["kwargs"]) == ("(2,)", "{'y': 3}")
    assert found["received"] <= found["started"] <= found["succeeded"]
