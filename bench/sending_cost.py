"""What sending a task costs: Routewright, Celery, dramatiq, taskiq and bare kombu, side by side.

All send the same two numbers to one RabbitMQ, in turns, so that whatever else the machine does is
shared by all. What is shown is the median of the rounds. Bare kombu sends the same message, but has
its headers and its id made beforehand. dramatiq and taskiq have queues of their own, of the same
kind.

    python bench/sending_cost.py            # the peers come with `pip install routewright[bench]`
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import peers
import tests_path  # noqa: F401  puts what tests share on the path
from kombu.connection import Connection
from peers import ARGS, EXCHANGE, KEY, QUEUE, TASK, Send, add
from private_nodes import RabbitMQ
from rich.console import Console
from rich.table import Table

from routewright.runtime import App, Group, Route, Router

QUEUES = (QUEUE, "dramatiq-True", "dramatiq-False", "taskiq")
SIZES = (10, 1_000, 50_000)  # tasks of a router
LOOK_UPS = 200_000
MOST_SINGLE, LEAST_PIPED, LEAST_PIPED_CONFIRMED, MOST_RESOLVE = 1.15, 2.5, 15.0, 200.0


@dataclass(frozen=True)
class Contender:
    """A way of sending, and how many of its sends make a round."""

    name: str
    count: int
    open: Callable[[str], AbstractContextManager[Send]]


def _routes(count: int) -> list[Route]:
    return [Route(f"{TASK}{number}", EXCHANGE, KEY, (QUEUE,)) for number in range(count)]


def _router(routes: list[Route]) -> Router[str]:
    return Router(
        topology="bench",
        source="",
        target="rabbitmq-3.10",
        vhost=None,
        routes=routes,
        groups=[Group("all", (QUEUE,))],
    )


@contextmanager
def _routewright(url: str, *, piped: bool) -> Iterator[Send]:
    """`apply_async` of a task that ignores its result, confirmed and mandatory as always."""
    with App(_router([Route(TASK, EXCHANGE, KEY, (QUEUE,))]), url) as app:
        task = app.task(name=TASK, ignore_result=True)(add)

        def singly(count: int) -> None:
            for _ in range(count):
                task.apply_async(ARGS)

        def together(count: int) -> None:
            with app.pipeline():
                singly(count)

        yield together if piped else singly


CONTENDERS = (
    Contender("kombu", 10_000, lambda url: peers.kombu(url, confirmed=False)),
    Contender("kombu, confirmed", 2_000, lambda url: peers.kombu(url, confirmed=True)),
    Contender("Celery", 5_000, lambda url: peers.celery(url, confirmed=False)),
    Contender("Celery, confirmed", 2_000, lambda url: peers.celery(url, confirmed=True)),
    Contender("dramatiq", 5_000, lambda url: peers.dramatiq(url, confirmed=False)),
    Contender("dramatiq, confirmed", 2_000, lambda url: peers.dramatiq(url, confirmed=True)),
    Contender("taskiq, confirmed", 2_000, peers.taskiq),
    Contender("Routewright, confirmed", 2_000, lambda url: _routewright(url, piped=False)),
    Contender("Routewright, pipelined", 10_000, lambda url: _routewright(url, piped=True)),
)


def measure(url: str, rounds: int) -> tuple[dict[str, float], list[str]]:
    """Microseconds for one send of each contender, and those that are not installed."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    with ExitStack() as exits:
        sends, absent = [], []
        for each in CONTENDERS:
            try:
                send = exits.enter_context(each.open(url))
            except ModuleNotFoundError:
                absent.append(each.name)
                continue
            send(100)
            sends.append((each, send))
        for _ in range(rounds):
            for each, send in sends:
                started = time.perf_counter()
                send(each.count)
                seconds[each.name].append((time.perf_counter() - started) / each.count)
                _purge(url)
    return {name: median(taken) * 1e6 for name, taken in seconds.items()}, absent


def resolving(size: int) -> float:
    """Nanoseconds for one `router.resolve`, of a router of so many tasks."""
    resolve = _router(_routes(size)).resolve
    names = [f"{TASK}{number}" for number in range(0, size, max(size // 1000, 1))]
    rounds = range(LOOK_UPS // len(names))
    taken = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in rounds:
            for name in names:
                resolve(name)
        taken.append((time.perf_counter() - started) / (len(rounds) * len(names)))
    return median(taken) * 1e9


def _declare(url: str) -> None:
    with Connection(url) as connection:
        channel: Any = connection.channel()
        channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
        channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        channel.queue_bind(QUEUE, EXCHANGE, "bench.#")


def _purge(url: str) -> None:
    with Connection(url) as connection:
        for queue in QUEUES:
            channel: Any = connection.channel()
            try:
                channel.queue_purge(queue)
            except connection.channel_errors:  # its owner is not installed
                continue


def _verdicts(taken: dict[str, float]) -> Iterator[tuple[str, float, bool]]:
    single, piped = taken["Routewright, confirmed"], taken["Routewright, pipelined"]
    ratio = single / taken["kombu, confirmed"]
    yield f"confirmed, to kombu's: at most {MOST_SINGLE}", ratio, ratio <= MOST_SINGLE
    for peer, least in (("Celery", LEAST_PIPED), ("Celery, confirmed", LEAST_PIPED_CONFIRMED)):
        if peer in taken:
            ratio = taken[peer] / piped
            yield f"{peer}, to pipelined: at least {least}", ratio, ratio >= least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    console, good = Console(), True
    with RabbitMQ() as node:
        _declare(node.url())
        taken, absent = measure(node.url(), parser.parse_args().rounds)
    table = Table("one send", "microseconds", "to pipelined")
    for name, microseconds in taken.items():
        ratio = microseconds / taken["Routewright, pipelined"]
        table.add_row(name, f"{microseconds:,.0f}", f"{ratio:.2f}")
    for name in absent:
        table.add_row(name, "not installed", "")
    console.print(table)
    for claim, figure, holds in _verdicts(taken):
        console.print(f"{claim}: {figure:.2f} {'' if holds else '(missed)'}")
        good &= holds
    for size in SIZES:
        nanoseconds = resolving(size)
        console.print(f"router.resolve of {size:,} tasks: {nanoseconds:.0f} ns")
        good &= nanoseconds <= MOST_RESOLVE
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
