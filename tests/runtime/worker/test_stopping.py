"""What becomes of a hundred running tasks when their worker is told to stop."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import Project
from waiting import Eventually

pytestmark = pytest.mark.broker

TOPOLOGY = """
topology: shop
target: rabbitmq-3.10
exchanges: {tasks: {type: topic}}
queues:
  work: {exchange: tasks, binding_key: work}
tasks:
  "jobs.*": {exchange: tasks, routing_key: work, ignore_result: true}
workers:
  all: {queues: [work], processes: 4, concurrency: 25}
"""

CODE = """
import pathlib, time
from routewright.runtime import App
from shop_routing import router

here = pathlib.Path(__file__).parent
app = App(router)

def note(name, text):
    with (here / name).open("a") as file:
        file.write(f"{text}\\n")

@app.task
def wait_for(name, number):
    note("began", number)
    while not (here / name).exists():
        time.sleep(0.02)
    note("ended", number)
"""

QUICK, LONG, WAITING = range(60), range(60, 100), range(100, 110)


@pytest.fixture
def shop(broker: Any, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, broker.url, TOPOLOGY, CODE)
    yield project
    project.close()


@pytest.mark.parametrize("told", ["the parent", "each process, as by systemd"])
def test_of_a_hundred_running_tasks_each_ends_in_time_or_runs_again(
    shop: Project, eventually: Eventually, told: str
) -> None:
    with shop.client() as jobs:
        with shop.worker("all", "--grace", "5") as process:
            eventually(lambda: len(shop.pids(process)) == 4)
            with jobs.app.pipeline():
                for number in QUICK:
                    jobs.wait_for.delay("soon", number)
                for number in LONG:
                    jobs.wait_for.delay("never", number)
            eventually(lambda: len(shop.lines("began")) == 100)
            with jobs.app.pipeline():
                for number in WAITING:
                    jobs.wait_for.delay("never", number)
            pids = shop.pids(process)
            process.terminate()
            if told != "the parent":
                for pid in pids:
                    os.kill(pid, signal.SIGTERM)
            eventually(lambda: shop.log().count("stopping: ") == 4)
            (shop.folder / "soon").touch()
            assert process.wait(30) == 0
        assert sorted(map(int, shop.lines("ended"))) == list(QUICK)
        assert shop.waiting("work") == len(LONG) + len(WAITING)

        (shop.folder / "never").touch()
        with shop.worker():
            eventually(lambda: len(shop.lines("ended")) == 110, 60)
    assert shop.waiting("work") == 0
    began = Counter(map(int, shop.lines("began")))
    assert began == Counter(QUICK) + Counter(LONG) + Counter(LONG) + Counter(WAITING)
    assert Counter(map(int, shop.lines("ended"))) == Counter(range(110))
