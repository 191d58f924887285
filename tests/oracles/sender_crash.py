"""Kills the broker under senders, and compares what it has afterwards with what they were told.

A task whose send returned must be in the queue. One whose send raised may be there or not, and one
whose connection broke before its confirm may be there twice, under its one id.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from amqp.exceptions import AMQPError
from kombu.connection import Connection
from private_nodes import RabbitMQ, until

from routewright.runtime import App, Group, NotAllSent, Route, Router, SendError

THREADS = 4
BATCH = 250  # tasks of one pipeline
WAIT = 120  # seconds


@dataclass
class Sent:
    """What the senders were told."""

    confirmed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.confirmed) + len(self.failed)

    def note(self, task_id: str, error: Exception) -> None:
        self.failed.append(task_id)
        self.errors[type(error).__name__] += 1


@dataclass(frozen=True)
class Found:
    """What the broker has afterwards, against what the senders were told."""

    confirmed: int
    failed: int
    errors: Counter[str]
    missing: set[str]
    strange: set[str]
    twice: int

    def __str__(self) -> str:
        errors = ", ".join(f"{count} {name}" for name, count in self.errors.items())
        return (
            f"{self.confirmed:,} confirmed, of which {len(self.missing)} missing;"
            f" {self.failed:,} failed ({errors or 'none'}); {self.twice:,} more than once;"
            f" {len(self.strange)} under unknown ids"
        )


def crash(node: RabbitMQ, queue_type: str, count: int, kills: int = 2) -> Found:
    """Send `count` tasks, half of them in pipelines, while the broker is killed and started."""
    vhost = node.fresh_vhost()
    with _app(node, vhost, queue_type) as app:
        sent = Sent()
        threads = [
            threading.Thread(target=send_batches, args=(app, sent, f"{queue_type}-{number}", share))
            for number, share in enumerate([count // THREADS] * THREADS)
        ]
        for thread in threads:
            thread.start()
        for kill in range(kills):
            await_sent(threads, sent, count * (kill + 1) // (kills + 1))
            node.kill()
            node.start()
        for thread in threads:
            thread.join(WAIT)
    return compare(sent, _drain(node.url(vhost), queue_type))


def await_sent(threads: Sequence[threading.Thread], sent: Sent, count: int) -> None:
    while len(sent) < count and any(thread.is_alive() for thread in threads):
        threads[0].join(0.01)


def send_batches(app: App, sent: Sent, name: str, count: int) -> None:
    """Single sends and pipelines in turn."""
    for start in range(0, count, BATCH):
        ids = [f"{name}-{number}" for number in range(start, min(start + BATCH, count))]
        if (start // BATCH) % 2:
            _send_piped(app, sent, ids)
        else:
            _send_singly(app, sent, ids)


def _send_singly(app: App, sent: Sent, ids: Sequence[str]) -> None:
    for task_id in ids:
        try:
            app.send_task("crash.task", task_id=task_id, ignore_result=True)
        except SendError as error:
            sent.note(task_id, error)
        else:
            sent.confirmed.append(task_id)


def _send_piped(app: App, sent: Sent, ids: Sequence[str]) -> None:
    failed: dict[str, Exception] = {}
    try:
        with app.pipeline():
            for task_id in ids:
                try:
                    app.send_task("crash.task", task_id=task_id, ignore_result=True)
                except SendError as error:
                    failed[task_id] = error
    except NotAllSent as error:
        failed |= {str(each.id): each.error for each in error.failed}
    for task_id in ids:
        if task_id in failed:
            sent.note(task_id, failed[task_id])
        else:
            sent.confirmed.append(task_id)


def compare(sent: Sent, there: Counter[str]) -> Found:
    known = {*sent.confirmed, *sent.failed}
    return Found(
        confirmed=len(sent.confirmed),
        failed=len(sent.failed),
        errors=sent.errors,
        missing=set(sent.confirmed) - set(there),
        strange=set(there) - known,
        twice=sum(count > 1 for count in there.values()),
    )


@contextmanager
def _app(node: RabbitMQ, vhost: str, queue_type: str) -> Iterator[App]:
    with Connection(node.url(vhost)) as connection:
        channel: Any = connection.channel()
        channel.exchange_declare("crash", "topic", durable=True, auto_delete=False)
        channel.queue_declare(
            queue_type, durable=True, auto_delete=False, arguments={"x-queue-type": queue_type}
        )
        channel.queue_bind(queue_type, "crash", queue_type)
    if queue_type == "quorum":
        until(lambda: node.has_written(queue_type, vhost))
    route = Route("crash.task", "crash", queue_type, (queue_type,))
    router = Router[str](
        topology="crash",
        source="",
        target="rabbitmq-3.10",
        vhost=None,
        routes=[route],
        groups=[Group("all", (queue_type,))],
    )
    with App(router, node.url(vhost), retry_budget=WAIT) as app:
        yield app


def _drain(url: str, queue: str) -> Counter[str]:
    """How often each task is in the queue."""
    deadline = time.monotonic() + WAIT
    while True:
        try:
            return _drained(url, queue)
        except AMQPError:  # a quorum queue has no leader yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _drained(url: str, queue: str) -> Counter[str]:
    found: Counter[str] = Counter()
    with Connection(url) as connection:
        channel: Any = connection.channel()
        left = channel.queue_declare(queue, passive=True).message_count

        def receive(message: Any) -> None:
            found[message.properties["correlation_id"]] += 1

        channel.basic_consume(queue, no_ack=True, callback=receive)
        while found.total() < left:
            connection.drain_events(timeout=10)
    return found
