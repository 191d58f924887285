"""Results in Redis are Celery's: it reads what we store, and we read what it stores."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.result import AsyncResult
from child_process import ended
from private_nodes import Redis, until

from routewright.runtime import TaskFailed, TaskSet

WORKER = """
from celery import Celery

app = Celery("peer", broker={broker!r}, backend={results!r})
app.conf.result_compression = {compression!r}


@app.task(name="add")
def add(x, y):
    return x + y


@app.task(name="fail")
def fail():
    {{}}["missing"]


class Peculiar(Exception):
    pass


@app.task(name="be.peculiar")
def be_peculiar():
    raise Peculiar("quite", 2)


@app.task(name="wait", bind=True)
def wait(self, file):
    import os, time
    self.update_state(state="PROGRESS", meta={{"done": 1, "total": 2}})
    while not os.path.exists(file):
        time.sleep(0.01)
    return "done"
"""


@pytest.fixture
def peer(redis_server: Redis) -> Iterator[Celery]:
    """A Celery application that reads results from the same Redis."""
    app = Celery("peer", broker="memory://", backend=redis_server.url, set_as_current=False)
    yield app
    app.backend.result_consumer.stop()
    app.backend.client.close()
    app.close()


def test_celery_reads_what_a_worker_stores(
    memory: Any, redis_server: Redis, peer: Celery, tmp_path: Path
) -> None:
    app = memory.app("add", "fail", "wait", results=redis_server.url)
    go = threading.Event()
    app.task(name="add")(lambda x, y: x + y)

    @app.task(name="fail")
    def fail() -> None:
        raise FileNotFoundError(2, "no such file", str(tmp_path))

    @app.task(name="wait", bind=True)
    def wait(self: Any) -> str:
        self.update_progress(1, 2)
        go.wait(20)
        return "done"

    with memory.worker(app):
        sent = {name: app.send_task(name, args) for name, args in (("add", [1, 2]), ("fail", []))}
        read = {name: AsyncResult(result.id, app=peer) for name, result in sent.items()}
        assert read["add"].get(timeout=120) == 3
        with pytest.raises(FileNotFoundError, match="no such file"):
            read["fail"].get(timeout=120)
        waiting = AsyncResult(wait.delay().id, app=peer)
        until(lambda: waiting.state == "PROGRESS")
        assert waiting.info == {"done": 1, "total": 2}
        go.set()
        assert waiting.get(timeout=120) == "done"
    assert [(each.state, each.successful()) for each in read.values()] == [
        ("SUCCESS", True),
        ("FAILURE", False),
    ]
    assert "in fail" in read["fail"].traceback
    assert datetime.now(UTC) - read["add"].date_done < timedelta(minutes=1)
    assert read["add"].children == []


def test_celery_waits_for_what_a_worker_is_yet_to_store(
    memory: Any, redis_server: Redis, peer: Celery
) -> None:
    app = memory.app("t", results=redis_server.url)
    app.task(name="t")(lambda: "done")
    result = AsyncResult(app.send_task("t").id, app=peer)
    values: list[Any] = []
    waiter = threading.Thread(target=lambda: values.append(result.get(timeout=120)))
    waiter.start()
    until(lambda: peer.backend.result_consumer.subscribed_to)  # and so it must be told
    with memory.worker(app):
        waiter.join()
    assert values == ["done"]


@pytest.fixture(params=[None, "gzip"])
def celery_worker(
    request: pytest.FixtureRequest, rabbit: Any, redis_server: Redis, tmp_path: Path
) -> Iterator[Any]:
    """A Celery worker on the stage's queue; the stage."""
    names = {"broker": rabbit.url, "results": redis_server.url, "compression": request.param}
    (tmp_path / "peer.py").write_text(WORKER.format(**names))
    command = [
        *(sys.executable, "-m", "celery", "-A", "peer", "worker", "--pool", "solo"),
        *("--queues", rabbit.queue, "--without-gossip", "--without-mingle", "--hostname", "peer@x"),
    ]
    log = tmp_path / "celery.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "C_FORCE_ROOT": "1"}, stdout=file, stderr=file
        )
        with ended(worker):
            rabbit.compresses = request.param is not None
            yield rabbit


@pytest.mark.broker
def test_what_a_celery_worker_stores_is_read(
    celery_worker: Any, redis_server: Redis, tmp_path: Path
) -> None:
    app = celery_worker.app("add", "fail", "be.peculiar", "wait", results=redis_server.url)
    add = app.task(name="add")(lambda x, y: x + y)
    results = TaskSet(add.s(number, 1) for number in range(10)).apply_async()
    assert results.join(timeout=60) == list(range(1, 11))
    assert results[0].date_done is not None
    with redis.Redis(port=redis_server.port) as client:
        stored: Any = client.get(f"celery-task-meta-{results[0].id}")
    assert stored.startswith(b"\0celery-compressed\0") == celery_worker.compresses
    failed = app.send_task("fail")
    with pytest.raises(KeyError, match="missing") as caught:
        failed.get(timeout=60)
    assert "in fail" in caught.value.__notes__[0]
    assert "in fail" in failed.traceback
    with pytest.raises(TaskFailed, match="Peculiar: quite, 2"):
        app.send_task("be.peculiar").get(timeout=60)
    waiting = app.send_task("wait", [str(tmp_path / "go")])
    until(lambda: waiting.status == "PROGRESS")
    assert waiting.info == {"done": 1, "total": 2}
    assert app.AsyncResult(waiting.id).state == "PROGRESS"
    (tmp_path / "go").touch()
    assert waiting.get(timeout=60) == "done"
