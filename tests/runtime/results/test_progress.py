"""Progress: a task says how far it is, its sender sees it, and a tight loop floods nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from private_nodes import Redis, until

from routewright.runtime import Task
from routewright.runtime.messages.message import Message
from routewright.runtime.messages.outcome import Outcome
from routewright.runtime.results.progress import Progress

MESSAGE = Message("t", "id", reply_to="queue")


def test_a_bound_function_tells_its_sender_how_far_it_is(stage: Any, way: str) -> None:
    app = stage.app("t", results=way)
    go = threading.Event()

    @app.task(name="t", bind=True)
    def count(self: Any) -> str:
        self.update_progress(3, 10)
        go.wait(20)
        return "done"

    with stage.worker(app):
        result = count.delay()
        until(lambda: result.info == {"done": 3, "total": 10})
        assert (result.status, result.ready(), result.result) == ("PROGRESS", False, None)
        go.set()
        assert result.get(timeout=120) == "done"
    assert (result.state, result.info) == ("SUCCESS", "done")


PROCESSES = """
import os, pathlib, time
from routewright.runtime import App, Group, Route, Router

here = pathlib.Path(__file__).parent
url, queue, results = (here / "where").read_text().split()
router = Router(
    topology="t", source="", target="", vhost=None,
    routes=[Route("t", "tasks", "work.do", (queue,))],
    groups=[Group("group", (queue,), concurrency=1, prefetch=1, processes=2)],
)
app = App(router, url, results=results)

@app.task(name="t", bind=True)
def count(self, number):
    self.update_progress(number, 2)
    while not (here / "go").exists():
        time.sleep(0.01)
    return os.getpid()
"""


@pytest.mark.broker
def test_each_process_of_a_worker_tells(rabbit: Any, way: str, tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(PROCESSES)
    (tmp_path / "where").write_text(f"{rabbit.url} {rabbit.queue} {way}")
    code = (
        "from routewright.runtime.worker.command import run_worker; "
        "run_worker('counting:app', 'group')"
    )
    app = rabbit.app("t", results=way)
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) as worker:
        try:
            results = [app.send_task("t", [number]) for number in range(2)]
            for number, result in enumerate(results):
                until(lambda now=number, it=result: it.info == {"done": now, "total": 2})
            (tmp_path / "go").touch()
            assert len({result.get(timeout=120) for result in results}) == 2
        finally:
            worker.terminate()
    assert worker.returncode == 0


def test_a_class_tells_its_sender_how_far_it_is(memory: Any, way: str) -> None:
    go = threading.Event()

    class Count(Task):
        app = memory.app("t", results=way)
        name = "t"

        def run(self) -> None:
            self.update_progress(0.5)
            go.wait(20)

    with memory.worker(Count.app):
        result = Count.delay()
        until(lambda: result.info == {"done": 0.5, "total": None})
        go.set()
        result.get(timeout=120)


def test_the_last_word_before_a_long_silence_arrives(memory: Any, way: str) -> None:
    app = memory.app("t", results=way)
    go = threading.Event()

    @app.task(name="t", bind=True)
    def count(self: Any) -> None:
        for done in range(2000):
            self.update_progress(done + 1, 2000)
        go.wait(20)

    with memory.worker(app):
        result = count.delay()
        until(lambda: result.info == {"done": 2000, "total": 2000})
        go.set()
        result.get(timeout=120)


def test_a_tight_loop_floods_nobody(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = memory.app("t")
    heard: list[Outcome] = []
    settle = app.results._expected.of

    @app.task(name="t", bind=True)
    def count(self: Any) -> None:
        for done in range(20_000):
            self.update_progress(done, 20_000)

    with memory.worker(app):
        result = count.delay()
        monkeypatch.setattr(result, "settle", heard.append, raising=False)
        until(lambda: any(each.status == "SUCCESS" for each in heard))
    assert settle(result.id) == [result]
    assert len(heard) < 100


def test_the_latest_word_wins_and_each_is_passed_on_once() -> None:
    woken: list[None] = []
    progress = Progress(lambda: woken.append(None))
    for done in range(5):
        progress.say(MESSAGE, "PROGRESS", {"done": done})
    [(queue, envelope)] = progress.due()
    assert (queue, Outcome.decode(envelope).result) == ("queue", {"done": 4})
    progress.say(MESSAGE, "PROGRESS", {"done": 5})  # too soon, and so it waits
    assert progress.due() == []
    [(_, envelope)] = until(progress.due)
    assert Outcome.decode(envelope).result == {"done": 5}
    until(lambda: not progress.due() and not progress._latest)
    assert len(woken) == 1


def test_nobody_is_told_of_a_task_whose_result_is_ignored() -> None:
    progress = Progress(lambda: None)
    for message in (Message("t", "id"), Message("t", "id", reply_to="q", ignore_result=True)):
        progress.say(message, "PROGRESS", {})
    assert progress.due() == []


def test_outside_a_worker_it_does_nothing(memory: Any) -> None:
    @memory.app("t").task(name="t", bind=True)
    def count(self: Any) -> str:
        self.update_progress(1, 2)
        return "done"

    assert count() == "done"


@pytest.mark.parametrize("done", [object(), "3", 2**64])
def test_progress_is_told_in_numbers(memory: Any, done: Any) -> None:
    app = memory.app("t")

    @app.task(name="t", bind=True)
    def count(self: Any) -> None:
        self.update_progress(done)

    with memory.worker(app), pytest.raises((TypeError, ValueError), match="numbers"):
        count.delay().get(timeout=120)


def test_a_redis_that_is_away_holds_up_no_progress(
    memory: Any, private_redis: Callable[..., Redis], caplog: pytest.LogCaptureFixture
) -> None:
    server = private_redis()
    app = memory.app("t", results=server.url)
    reported, go = threading.Event(), threading.Event()

    @app.task(name="t", bind=True)
    def count(self: Any) -> str:
        for done in range(1000):
            self.update_progress(done, 1000)
        reported.set()
        go.wait(20)
        return "done"

    server.kill()
    with memory.worker(app):
        result = count.delay()
        assert reported.wait(20)
        until(lambda: "progress is not stored" in caplog.text)
        server.start()
        go.set()
        assert result.get(timeout=60) == "done"


def test_a_task_that_runs_is_started_where_the_app_tracks_that(memory: Any, way: str) -> None:
    app = memory.app("t", results=way, track_started=True)
    go = threading.Event()
    app.task(name="t")(lambda: go.wait(20))
    with memory.worker(app):
        result = app.send_task("t")
        until(lambda: result.status == "STARTED")
        assert result.info["pid"] == os.getpid()
        go.set()
        assert result.get(timeout=120) is True
