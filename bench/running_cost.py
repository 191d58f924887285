"""How fast workers run tasks, how soon, and in how much memory; beside Celery's and dramatiq's.

Each contender gets the same number of tasks in its queue before it starts, results are off and
prefetch is alike. The rate is that of emptying the queue once it has begun. Latency is from the
send to the start of the task, at the same low rate for all.

    python bench/running_cost.py
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import tests_path  # noqa: F401  puts what tests share on the path
from kombu.connection import Connection
from private_nodes import RabbitMQ, until
from rich.console import Console
from rich.table import Table

PREFETCH = 100  # messages of each process
NOOPS, SLEEPS = 20_000, 1_600
LATENCY_RATE, LATENCIES = 400.0, 1_200  # tasks a second, and how many
LEAST_OF_CELERY, LEAST_OF_DRAMATIQ = 2.5, 1.2
BIN = Path(sys.executable).parent

TASKS = """
import os, time
file = os.open("latencies", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def noop():
    pass

def sleep():
    time.sleep(0.01)

def stamp(sent):
    os.write(file, f"{time.time() - sent}\\n".encode())
"""

ROUTEWRIGHT = """
import tasks
from routewright.runtime import App, Group, Route, Router

names = ("noop", "sleep", "stamp")
router = Router(
    topology="bench", source="", target="rabbitmq-3.10", vhost=None,
    routes=[Route(name, "", "routewright", ("routewright",), ignore_result=True) for name in names],
    groups=[Group("all", ("routewright",), 4, PREFETCH, processes=2)],
)
app = App(router, URL)
for name in names:
    app.task(name=name)(getattr(tasks, name))
"""

CELERY = """
import tasks
from celery import Celery
from kombu import Queue

app = Celery("bench", broker=URL)
app.conf.task_ignore_result = True
app.conf.worker_prefetch_multiplier = MULTIPLIER
app.conf.task_default_queue = "celery"
app.conf.broker_transport_options = {}
noop, sleep, stamp = (
    app.task(getattr(tasks, name), name=name) for name in ("noop", "sleep", "stamp")
)
"""

DRAMATIQ = """
import dramatiq, tasks
from dramatiq.brokers.rabbitmq import RabbitmqBroker

broker = RabbitmqBroker(url=URL, middleware=[])
dramatiq.set_broker(broker)
noop, sleep, stamp = (
    dramatiq.actor(getattr(tasks, name), actor_name=name, queue_name="dramatiq")
    for name in ("noop", "sleep", "stamp")
)
"""


@dataclass(frozen=True)
class Contender:
    """A worker: its module, its command, its queue, and how a task is sent to it."""

    name: str
    queue: str
    code: str
    command: tuple[str, ...]
    send: Callable[[Any, str, tuple[Any, ...]], None]
    environment: Mapping[str, str]


def _routewright(module: Any, name: str, args: tuple[Any, ...]) -> None:
    module.app.tasks[name].apply_async(args)


def _celery(module: Any, name: str, args: tuple[Any, ...]) -> None:
    module.app.tasks[name].apply_async(args)


def _dramatiq(module: Any, name: str, args: tuple[Any, ...]) -> None:
    getattr(module, name).send(*args)


def celery(pool: str, concurrency: int) -> Contender:
    """Celery's worker with one of its pools, without what it tells other workers."""
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "warning")
    return Contender(
        f"Celery, {pool} {concurrency}",
        "celery",
        CELERY.replace("MULTIPLIER", str(2 * PREFETCH // concurrency)),
        (str(BIN / "celery"), "-A", "app", "worker", "-P", pool, "-c", str(concurrency), *quiet),
        _celery,
        {},
    )


OURS = Contender(
    "Routewright, 2 x 4",
    "routewright",
    ROUTEWRIGHT.replace("PREFETCH", str(PREFETCH)),
    (str(BIN / "routewright"), "worker", "app:app", "--group", "all", "--log-level", "warning"),
    _routewright,
    {},
)
DRAMATIQS = Contender(
    "dramatiq, 2 x 4",
    "dramatiq",
    DRAMATIQ,
    (str(BIN / "dramatiq"), "app", "--processes", "2", "--threads", "4"),
    _dramatiq,
    {"dramatiq_queue_prefetch": str(PREFETCH)},
)
NOOP_CONTENDERS = (OURS, DRAMATIQS, celery("prefork", 2), celery("threads", 8), celery("solo", 1))
SLEEP_CONTENDERS = (OURS, DRAMATIQS, celery("prefork", 8), celery("threads", 8))


class Bench:
    """A folder with a contender's module, and its worker."""

    def __init__(self, contender: Contender, url: str, folder: Path) -> None:
        self.contender, self.url, self._folder = contender, url, folder
        (folder / "tasks.py").write_text(TASKS)
        (folder / "app.py").write_text(f"URL = {url!r}\n{contender.code}")

    def fill(self, name: str, count: int, args: str = "()", pause: float = 0.0) -> None:
        """Send so many tasks, from a process of its own; `pause` is the seconds between two."""
        code = (
            "import sys, time; sys.path.insert(0, '.'); import app, running_cost\n"
            f"send = running_cost.{self.contender.send.__name__}\n"
            "started = time.perf_counter()\n"
            f"for number in range({count}):\n"
            f"    left = started + number * {pause} - time.perf_counter()\n"
            "    if left > 0: time.sleep(left)\n"
            f"    send(app, {name!r}, {args})\n"
        )
        subprocess.run(
            [sys.executable, "-c", code], cwd=self._folder, env=self._environment(), check=True
        )

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """The contender's worker."""
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                self.contender.command,
                cwd=self._folder,
                env={**self._environment(), **self.contender.environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def left(self) -> int:
        """How many tasks are in the queue, and with nobody yet."""
        with Connection(self.url) as connection:
            channel: Any = connection.channel()
            return int(channel.queue_declare(self.contender.queue, passive=True).message_count)

    def latencies(self) -> list[float]:
        file = self._folder / "latencies"
        return [float(line) for line in file.read_text().splitlines()] if file.exists() else []

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}


@contextmanager
def bench(contender: Contender, node: RabbitMQ) -> Iterator[Bench]:
    vhost = node.fresh_vhost()
    url = node.url(vhost)
    with Connection(url) as connection:
        channel: Any = connection.channel()
        if contender.queue != "dramatiq":  # which declares with arguments of its own
            channel.queue_declare(contender.queue, durable=True, auto_delete=False)
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(contender, url, Path(folder))
    node.delete_vhost(vhost)


def rate(contender: Contender, node: RabbitMQ, name: str, count: int) -> tuple[float, float]:
    """Tasks a second, and the megabytes of the worker's processes together."""
    with bench(contender, node) as its:
        its.fill(name, count)
        full = until(its.left, 60)
        with its.worker() as process, Connection(its.url) as connection:
            channel: Any = connection.channel()

            def left() -> int:
                return int(channel.queue_declare(contender.queue, passive=True).message_count)

            until(lambda: left() < full - 2 * PREFETCH, 60)
            started, first = time.perf_counter(), left()
            while left() > 0:
                time.sleep(0.02)
            seconds = time.perf_counter() - started
            memory = _memory(process.pid)
    return first / seconds, memory


def latency(contender: Contender, node: RabbitMQ) -> list[float]:
    """Milliseconds from the send to the start, of tasks that come slowly."""
    with bench(contender, node) as its:
        its.fill("noop", 1)
        with its.worker():
            until(lambda: its.left() == 0, 60)
            its.fill("stamp", LATENCIES, "(time.time(),)", 1 / LATENCY_RATE)
            until(lambda: len(its.latencies()) >= LATENCIES, 60)
            return [1000 * it for it in its.latencies()]


def _memory(pid: int) -> float:
    """The proportional memory of a process and all below it, in megabytes."""
    total = 0.0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        children = Path(f"/proc/{one}/task/{one}/children")
        try:
            waiting += [int(child) for child in children.read_text().split()]
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(
            int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")
        )
    return total / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=NOOPS)
    parser.add_argument("--only", help="contenders whose names have this in them")
    chosen = parser.parse_args()
    console, good = Console(), True
    with RabbitMQ() as node:
        for name, count, contenders in (
            ("noop", chosen.count, NOOP_CONTENDERS),
            ("sleep", SLEEPS, SLEEP_CONTENDERS),
        ):
            wanted = [it for it in contenders if not chosen.only or chosen.only in it.name]
            rates: defaultdict[str, list[float]] = defaultdict(list)
            memory: defaultdict[str, list[float]] = defaultdict(list)
            for _ in range(chosen.rounds):
                for contender in wanted:
                    one, megabytes = rate(contender, node, name, count)
                    rates[contender.name].append(one)
                    memory[contender.name].append(megabytes)
            _print_rates(console, name, rates, memory)
            if name == "noop":
                good &= _verdict(console, rates, memory)
        table = Table("latency at a low rate", "p50, ms", "p99, ms")
        for contender in (OURS, DRAMATIQS, celery("prefork", 2), celery("threads", 8)):
            if not chosen.only or chosen.only in contender.name:
                found = quantiles(latency(contender, node), n=100)
                table.add_row(contender.name, f"{found[49]:.2f}", f"{found[98]:.2f}")
        console.print(table)
    return 0 if good else 1


def _print_rates(
    console: Console, name: str, rates: Mapping[str, list[float]], memory: Mapping[str, list[float]]
) -> None:
    table = Table(f"{name} tasks", "a second", "ratio to it", "MB")
    ours = median(rates[OURS.name]) if OURS.name in rates else 0.0
    for contender, found in rates.items():
        ratio = ours / median(found)
        table.add_row(
            contender, f"{median(found):,.0f}", f"{ratio:.2f}", f"{median(memory[contender]):.0f}"
        )
    console.print(table)


def _verdict(
    console: Console, rates: Mapping[str, list[float]], memory: Mapping[str, list[float]]
) -> bool:
    if OURS.name not in rates:
        return True
    ours, good = median(rates[OURS.name]), True
    best = max((median(it) for name, it in rates.items() if "Celery" in name), default=0.0)
    for peer, theirs, least in (
        ("Celery's best pool", best, LEAST_OF_CELERY),
        ("dramatiq", median(rates.get(DRAMATIQS.name, [0.0])), LEAST_OF_DRAMATIQ),
    ):
        if theirs:
            holds = ours / theirs >= least
            good &= holds
            console.print(
                f"to {peer}: at least {least}: {ours / theirs:.2f}{'' if holds else ' (missed)'}"
            )
    if DRAMATIQS.name in memory:
        ratio = median(memory[OURS.name]) / median(memory[DRAMATIQS.name])
        good &= ratio <= 1
        console.print(
            f"memory to dramatiq's: at most 1: {ratio:.2f}{'' if ratio <= 1 else ' (missed)'}"
        )
    return good


if __name__ == "__main__":
    sys.exit(main())
