"""Worker groups as processes: retries, parking, limits, and processes that die."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection
from project import PATIENT, Project
from waiting import Eventually

from routewright.runtime import AsyncResult, TimeLimitExceeded, WorkerLost

pytestmark = pytest.mark.broker

TOPOLOGY = """
topology: shop
target: rabbitmq-3.10
delays: {resolution: 50ms, max: 1h}
parking: parked
defaults: {exchange: tasks}
exchanges: {tasks: {type: topic}}
queues:
  work: {exchange: tasks, binding_key: "work.#"}
  parked: {}
tasks:
  jobs.flaky:
    routing_key: work.flaky
    retry: {max: 5, backoff: 200ms, max_backoff: 1s, jitter: false}
  jobs.picky:  {routing_key: work.picky, retry: {backoff: 10ms, on: [ConnectionError]}}
  jobs.patient: {routing_key: work.patient, retry: {backoff: 6s, jitter: false}}
  jobs.asks:   {routing_key: work.asks}
  jobs.early:  {routing_key: work.early, acknowledge: early}
  jobs.late:   {routing_key: work.late}
  jobs.slow:   {routing_key: work.slow, soft_time_limit: 300ms}
  jobs.stuck:  {routing_key: work.stuck, time_limit: 300ms}
  jobs.deadly: {routing_key: work.deadly}
  jobs.add:    {routing_key: work.add}
  jobs.forks:  {routing_key: work.forks, acknowledge: early}
  jobs.prints: {routing_key: work.prints}
workers:
  all: {queues: [work], concurrency: 4, prefetch: 8}
"""

CODE = """
import os, pathlib, time
from routewright.runtime import App, SoftTimeLimitExceeded
from shop_routing import router

here = pathlib.Path(__file__).parent
app = App(router)

def note(name, text=""):
    with (here / name).open("a") as file:
        file.write(f"{time.time()} {text}\\n")

def held(name):
    note(name + ".began", os.getpid())
    while not (here / "go").exists():
        time.sleep(0.01)
    note(name + ".done", os.getpid())

@app.task
def flaky(number):
    note("flaky", number)
    if not (here / "mended").exists():
        raise ValueError(f"broken {number}")
    return number

@app.task
def picky(error):
    note("picky", error)
    raise {"reset": ConnectionResetError, "value": ValueError}[error](error)

@app.task(bind=True)
def asks(self, times):
    note("asks", self.request.retries)
    if self.request.retries < times:
        raise self.retry(countdown=0.1, max_retries=9)
    return self.request.retries

@app.task
def early():
    held("early")

@app.task
def late():
    held("late")

@app.task
def slow():
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        return "gave in"

@app.task
def stuck():
    time.sleep(3600)

@app.task
def deadly():
    note("deadly")
    os._exit(3)

@app.task
def forks():
    pid = os.fork()
    if pid == 0:
        time.sleep(3600)
    note("orphan", pid)

@app.task
def prints():
    print("printed by a task")

@app.task
def add(x, y):
    note("add", x)
    return x + y
"""


@pytest.fixture
def shop(broker: Any, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, broker.url, TOPOLOGY, CODE + PATIENT)
    yield project
    project.close()


def times(shop: Project, name: str) -> list[float]:
    return [float(line.split()[0]) for line in shop.lines(name)]


def test_a_task_is_tried_again_with_pauses_parked_with_its_history_and_requeued(
    shop: Project, eventually: Eventually
) -> None:
    with shop.client() as jobs, shop.worker():
        result = jobs.flaky.delay(7)
        eventually(lambda: result.status == "RETRY")
        with pytest.raises(ValueError, match="broken 7"):
            result.get(timeout=120)
        pauses = [later - earlier for earlier, later in pairwise(times(shop, "flaky"))]
        wanted = [0.2, 0.4, 0.8, 1.0, 1.0]
        assert len(pauses) == len(wanted)
        assert all(pause >= least for pause, least in zip(pauses, wanted, strict=True))

        [parked] = shop.parked()
        assert (parked["id"], parked["task"]) == (result.id, "jobs.flaky")
        assert parked["queue"] == "work"
        assert parked["reason"] == "given up after 5 retries: ValueError('broken 7')"
        [whole] = json.loads(shop.run("parked", "show", result.id, "--format", "json"))
        assert whole["traceback"].endswith("ValueError: broken 7\n")
        assert whole["body"].startswith("[[7], {},")
        assert [entry["error"] for entry in whole["history"]] == ["ValueError('broken 7')"] * 6
        tried = [datetime.fromisoformat(entry["time"]).timestamp() for entry in whole["history"]]
        assert tried == sorted(tried)

        (shop.folder / "mended").touch()
        assert shop.run("parked", "requeue", result.id) == "1 requeued\n"
        eventually(lambda: len(shop.lines("flaky")) == 7)
        eventually(lambda: shop.parked() == [])
    assert shop.waiting("work") == 0


def test_only_the_named_errors_are_tried_again(shop: Project) -> None:
    with shop.client() as jobs, shop.worker():
        with pytest.raises(ValueError, match="value"):
            jobs.picky.delay("value").get(timeout=120)
        assert len(shop.lines("picky")) == 1
        assert shop.parked() == []
        with pytest.raises(ConnectionResetError):
            jobs.picky.delay("reset").get(timeout=120)
        assert len(shop.lines("picky")) == 1 + 4
        [parked] = shop.parked()
        assert parked["reason"].startswith("given up after 3 retries: ConnectionResetError")


def test_a_task_may_ask_to_be_tried_again(shop: Project) -> None:
    with shop.client() as jobs, shop.worker():
        assert jobs.asks.delay(3).get(timeout=120) == 3
    assert [line.split()[1] for line in shop.lines("asks")] == ["0", "1", "2", "3"]


def test_what_was_copied_to_another_queue_is_not_copied_again_by_being_parked(
    shop: Project,
) -> None:
    with Connection(shop.url) as connection:
        channel = connection.channel()
        channel.queue_declare("copies", durable=True, auto_delete=False)
        channel.queue_bind("copies", "tasks", "copies")
    with shop.client() as jobs, shop.worker():
        sent = jobs.picky.apply_async(["reset"], headers={"CC": ["copies"]})
        with pytest.raises(ConnectionResetError):
            sent.get(timeout=120)
        assert len(shop.parked()) == 1
    assert shop.waiting("copies") == 1


def test_a_retry_follows_a_topology_that_changed_in_between(
    shop: Project, eventually: Eventually
) -> None:
    with shop.client() as jobs:
        with shop.worker():
            result = jobs.patient.delay(1)
            eventually(lambda: result.status == "RETRY")
        moved = TOPOLOGY.replace("  work: {", "  moved: {").replace("[work]", "[moved]")
        shop.change(moved)
        with Connection(shop.url) as connection:
            connection.channel().queue_delete("work", if_empty=True)
        (shop.folder / "mended").touch()
        with shop.worker():
            assert result.get(timeout=120) == 1
    assert shop.waiting("moved") == 0


def test_what_is_acknowledged_early_does_not_run_again_after_a_crash(
    shop: Project, eventually: Eventually
) -> None:
    with shop.client() as jobs, shop.worker() as process:
        jobs.early.apply_async(ignore_result=True)
        jobs.late.apply_async(ignore_result=True)
        eventually(lambda: shop.lines("early.began") and shop.lines("late.began"))
        [pid] = shop.pids(process)
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(shop.lines("late.began")) == 2)
        (shop.folder / "go").touch()
        eventually(lambda: shop.lines("late.done"))
    assert len(shop.lines("early.began")) == 1
    assert shop.lines("early.done") == []
    assert "ended by signal 9 with 2 tasks running" in shop.log()


def test_a_task_past_its_soft_limit_can_put_its_things_in_order(shop: Project) -> None:
    with shop.client() as jobs, shop.worker():
        assert jobs.slow.delay().get(timeout=120) == "gave in"


def test_a_task_past_its_limit_fails_and_its_process_is_replaced(
    shop: Project, eventually: Eventually
) -> None:
    with shop.client() as jobs, shop.worker("all", "--grace", "1") as process:
        eventually(lambda: len(shop.pids(process)) == 1)
        [first] = shop.pids(process)
        with pytest.raises(TimeLimitExceeded, match="it still ran after its time limit"):
            jobs.stuck.delay().get(timeout=120)
        eventually(lambda: [pid for pid in shop.pids(process) if pid != first])
        assert jobs.add.delay(1, 2).get(timeout=120) == 3
    assert shop.waiting("work") == 0


def test_a_task_that_kills_its_processes_is_parked_and_its_neighbours_run(shop: Project) -> None:
    with shop.client() as jobs, shop.worker("all", "--processes", "2"):
        sums: list[AsyncResult[int]] = [jobs.add.delay(number, 1) for number in range(50)]
        deadly = jobs.deadly.delay()
        sums += [jobs.add.delay(number, 1) for number in range(50)]
        with pytest.raises(WorkerLost, match="3 times a process died with the task running"):
            deadly.get(timeout=60)
        assert [result.get(timeout=120) for result in sums] == [*range(1, 51), *range(1, 51)]
        [parked] = shop.parked()
        assert parked["id"] == deadly.id
        assert 3 <= len(shop.lines("deadly")) <= 4
        assert shop.run("parked", "drop", "--all") == "1 dropped\n"
        assert shop.parked() == []


def test_processes_whose_parent_was_killed_stop(shop: Project, eventually: Eventually) -> None:
    with shop.worker("all", "--processes", "2") as process:
        eventually(lambda: len(shop.pids(process)) == 2)
        pids = shop.pids(process)
        process.kill()
        process.wait()
        eventually(lambda: not any(_runs(pid) for pid in pids))


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_processes_killed_at_random_lose_nothing(shop: Project, eventually: Eventually) -> None:
    count = 400
    with shop.client() as jobs, shop.worker("all", "--processes", "2") as process:
        with jobs.app.pipeline():
            for number in range(count):
                jobs.add.apply_async([number, 0], ignore_result=True)
        for _ in range(4):
            done = len(shop.lines("add"))
            eventually(lambda done=done: len(shop.lines("add")) > done or done >= count)
            for pid in shop.pids(process)[:1]:
                os.kill(pid, signal.SIGKILL)
        eventually(
            lambda: {line.split()[1] for line in shop.lines("add")} == set(map(str, range(count))),
            60,
        )
    assert shop.waiting("work") == 0


def test_a_stop_lets_short_tasks_finish_and_hands_back_the_long_ones(
    shop: Project, eventually: Eventually
) -> None:
    with shop.client() as jobs:
        for _ in range(8):
            jobs.late.apply_async(ignore_result=True)
        with shop.worker("all", "--processes", "2", "--prefetch", "4", "--grace", "2") as process:
            eventually(lambda: len(shop.lines("late.began")) == 8)
            quick = [jobs.add.delay(number, 1) for number in range(4)]
            process.terminate()
            started = time.monotonic()
            process.wait(30)
            assert time.monotonic() - started < 20
        assert shop.waiting("work") == 8 + len(quick)
        (shop.folder / "go").touch()
        with shop.worker("all"):
            assert [result.get(timeout=120) for result in quick] == [1, 2, 3, 4]
            eventually(lambda: len(shop.lines("late.done")) == 8)


def test_what_cannot_be_dealt_with_says_what_to_do(shop: Project) -> None:
    assert "no message nowhere is parked in parked" in shop.run("parked", "show", "nowhere", code=2)
    assert "not parked in parked: nowhere" in shop.run("parked", "drop", "nowhere", code=2)
    assert "say --all" in shop.run("parked", "requeue", code=2)
    assert "has no queue `elsewhere`" in shop.run(
        "parked", "drop", "--all", "--queue", "elsewhere", code=2
    )


def test_a_process_is_replaced_though_what_its_task_forked_lives_on(
    shop: Project, eventually: Eventually
) -> None:
    with shop.client() as jobs, shop.worker() as process:
        jobs.forks.apply_async(ignore_result=True)
        eventually(lambda: shop.lines("orphan"))
        [first] = shop.pids(process)
        os.kill(first, signal.SIGKILL)
        try:
            eventually(lambda: [pid for pid in shop.pids(process) if pid != first])
        finally:
            for line in shop.lines("orphan"):
                os.kill(int(line.split()[1]), signal.SIGKILL)


def test_a_task_given_up_is_not_taken_to_run_in_the_next_process(
    shop: Project, eventually: Eventually
) -> None:
    options = ("--processes", "2", "--concurrency", "1", "--grace", "1")
    with shop.client() as jobs, shop.worker("all", *options) as process:
        eventually(lambda: len(shop.pids(process)) == 2)
        first = set(shop.pids(process))
        stuck = [jobs.stuck.delay() for _ in first]
        for result in stuck:
            with pytest.raises(TimeLimitExceeded):
                result.get(timeout=120)
        eventually(lambda: len(set(shop.pids(process)) - first) == 2)
        with pytest.raises(WorkerLost):  # it runs alone, once a process has died of it
            jobs.deadly.delay().get(timeout=120)


def test_what_a_task_prints_is_printed_at_the_latest_as_its_worker_stops(
    shop: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    with shop.client() as jobs, shop.worker():
        jobs.prints.delay().get(timeout=120)
    assert capfd.readouterr().out.count("printed by a task\n") == 1
