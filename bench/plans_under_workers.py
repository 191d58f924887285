"""Queues replaced under running workers; applies killed with -9 after their steps, and workers too.

Two worker processes run the tasks of two queues, which are sent all the time, while one of the
queues is replaced there and back again. Every apply is killed one step later than the last one, and
run again. Then the same, with a process of the worker killed at every third apply; tasks that were
running in it run again.

    python bench/plans_under_workers.py [--every STEPS] [--worker-kills]
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import tests_path  # noqa: F401  puts what tests share on the path
from killed_apply import applied, topology_of
from private_nodes import RabbitMQ, until
from project import Project
from rich.console import Console
from rich.table import Table

from routewright.compiler.broker.open_session import open_session
from routewright.compiler.executor.deploy import deploy

TOPOLOGY = """
topology: shop
target: rabbitmq-3.10
exchanges: {{tasks: {{type: topic}}}}
queues:
  work: {{exchange: tasks, binding_key: "work.#"{options}}}
  other: {{exchange: tasks, binding_key: "other.#"}}
defaults: {{exchange: tasks, ignore_result: true}}
tasks:
  jobs.slow: {{routing_key: work.slow}}
  jobs.quick: {{routing_key: other.quick}}
workers:
  all: {{queues: [work, other], processes: 2, concurrency: 4, prefetch: 20}}
"""

CODE = """
import os, pathlib, time
from routewright.runtime import App
from shop_routing import router

app = App(router)
runs = os.open(pathlib.Path(__file__).parent / "runs", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@app.task
def slow(number):
    time.sleep(0.02)
    os.write(runs, f"{number}\\n".encode())

@app.task
def quick(number):
    os.write(runs, f"{number}\\n".encode())
"""

KINDS = {
    "max-priority changed": ("", ", max_priority: 5"),
    "classic to quorum": ("", ", type: quorum"),
}


def measure(node: RabbitMQ, options: tuple[str, str], every: int, *, kill_workers: bool) -> Any:
    """How many kills, how many tasks were sent, and how often each of them ran."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vhost = node.fresh_vhost()
        old, new = (TOPOLOGY.format(options=it) for it in options)
        with open_session(node.url(vhost), 10, node.management_url) as session:
            deploy(topology_of(old), session)
        project = Project(folder, node.url(vhost), old, CODE)
        files = [folder / "0.yaml", folder / "1.yaml"]
        for file, text in zip(files, (new, old), strict=True):
            file.write_text(text)
        with project.client() as jobs, project.worker() as worker:
            sender = _Sender(jobs)
            until(lambda: len(project.lines("runs")) > 20)
            kills, killed, slowest = 0, True, 0.0
            while killed or kills % 2:
                ways = (files[kills % 2], node.url(vhost), node.management_url)
                killed = bool(applied(*ways, 1 + kills * every))
                if kill_workers and kills % 3 == 0:
                    os.kill(project.pids(worker)[kills % 2], signal.SIGKILL)
                started = time.monotonic()
                applied(*ways)
                slowest = max(slowest, time.monotonic() - started)
                kills += 1
            sent = sender.stop()
            with suppress(AssertionError):
                until(lambda: len({*project.lines("runs")}) >= sent, 60)
            project.close()
        runs = Counter(map(int, project.lines("runs")))
        return kills, sent, runs, slowest


class _Sender:
    def __init__(self, jobs: Any) -> None:
        self._jobs, self._sent, self._stop = jobs, 0, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            (self._jobs.slow if self._sent % 2 else self._jobs.quick).delay(self._sent)
            self._sent += 1

    def stop(self) -> int:
        self._stop.set()
        self._thread.join()
        return self._sent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="kill after every so many steps")
    parser.add_argument("--worker-kills", action="store_true", help="and a worker, now and then")
    arguments = parser.parse_args()
    columns = ("change", "kills", "sent", "lost", "ran twice", "slowest apply, s")
    table = Table(*columns, title="Queues replaced under workers")
    lost = 0
    with RabbitMQ() as node:
        for kind, options in KINDS.items():
            kills, sent, runs, slowest = measure(
                node, options, arguments.every, kill_workers=arguments.worker_kills
            )
            missing = sent - len(runs)
            twice = sum(count > 1 for count in runs.values())
            table.add_row(
                kind, *(f"{it:,}" for it in (kills, sent, missing, twice)), f"{slowest:.1f}"
            )
            print(f"{kind}: lost {missing}, ran twice {twice}", file=sys.stderr)
            lost += missing
    Console().print(table)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
