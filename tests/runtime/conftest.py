"""A small topology to send over: on a broker, in memory, or on each in turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from in_thread import running
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from private_nodes import Redis
from waiting import Eventually

from routewright.runtime import App, AsyncResult, Group, Route, Router, Worker

AMQP = pytest.param("amqp", marks=pytest.mark.broker)


class Stage:
    """An app of one exchange and one queue, whose tasks a test defines as it needs them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue = f"work-{uuid4().hex[:8]}"  # kombu's memory is shared by the whole process
        self._exits = ExitStack()

    def route(self, task: str, **options: Any) -> Route:
        """A route to the queue, unless the options say otherwise."""
        route = Route(task, "tasks", "work.do", (self.queue,))
        return replace(route, **options)

    def app(self, *routes: Route | str, events: bool = False, **options: Any) -> App:
        """An app with these tasks; closed after the test."""
        router = Router[str](
            topology="stage",
            source="sha256:0",
            target="rabbitmq-3.10",
            vhost=None,
            routes=[self.route(each) if isinstance(each, str) else each for each in routes],
            groups=[Group("group", (self.queue,), concurrency=2, prefetch=4)],
            events=events,
        )
        app = App(router, self.url, **options)
        self._exits.callback(app.close)
        return app

    def declare(self, *queues: str) -> None:
        """Declare the exchange, and bind the queue (or these) to it."""
        with self.connection() as connection:
            channel: Any = connection.channel()
            exchange = Exchange("tasks", "topic")
            for name in queues or (self.queue,):
                Queue(name, exchange, "work.#")(channel).declare()

    def limit(self, messages: int) -> None:
        """Declare the queue again, as one that rejects what is beyond so many messages."""
        with self.connection() as connection:
            channel: Any = connection.channel()
            channel.queue_delete(self.queue)
            limits = {"x-max-length": messages, "x-overflow": "reject-publish"}
            channel.queue_declare(self.queue, durable=True, auto_delete=False, arguments=limits)
            channel.queue_bind(self.queue, "tasks", "work.#")

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        connection = Connection(self.url)
        try:
            yield connection
        finally:
            connection.release()

    def waiting(self, queue: str | None = None) -> int:
        """How many messages are ready in the queue."""
        with self.connection() as connection:
            return int(connection.channel().queue_declare(queue or self.queue, passive=True)[1])

    def sent_ids(self) -> Counter[str]:
        """How often each task is in the queue, which is then empty."""
        found: Counter[str] = Counter()

        def receive(message: Any) -> None:
            found[message.properties["correlation_id"]] += 1

        with self.connection() as connection:
            channel: Any = connection.channel()
            there = channel.queue_declare(self.queue, passive=True)[1]
            channel.basic_consume(self.queue, no_ack=True, callback=receive)
            while found.total() < there:
                connection.drain_events(timeout=10)
        return found

    @contextmanager
    def worker(self, app: App, **group: Any) -> Iterator[Worker]:
        """A worker in a thread of this process."""
        worker = Worker(app, replace(app.router.group("group"), **group), grace=10)
        with running(worker):
            yield worker

    def close(self) -> None:
        self._exits.close()


@pytest.fixture
def memory() -> Iterator[Stage]:
    """The topology in kombu's memory."""
    stage = Stage("memory://")
    yield stage
    stage.close()


@pytest.fixture
def rabbit(broker: Any) -> Iterator[Stage]:
    """The topology, declared on a virtual host of its own."""
    stage = Stage(broker.url)
    stage.declare()
    yield stage
    stage.close()


@pytest.fixture
def stage_at() -> Iterator[Callable[[str], Stage]]:
    """Makes stages at URLs, where nothing is declared yet."""
    with ExitStack() as stages:

        def make(url: str) -> Stage:
            stage = Stage(url)
            stages.callback(stage.close)
            return stage

        yield make


@pytest.fixture(params=["memory", AMQP])
def stage(request: pytest.FixtureRequest) -> Stage:
    """The topology, in memory and on a broker."""
    name = "memory" if request.param == "memory" else "rabbit"
    found: Stage = request.getfixturevalue(name)
    return found


@pytest.fixture(params=["rpc", "redis"])
def way(request: pytest.FixtureRequest) -> str:
    """The URL of where results are kept: on the broker, and in Redis."""
    if request.param == "rpc":
        return "rpc://"
    server: Redis = request.getfixturevalue("redis_server")
    return server.url


@pytest.fixture
def eventually() -> Eventually:
    """Wait for a condition; fail if it does not come about."""

    def wait(condition: Callable[[], object], within: float = 120) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.01)

    return wait


@pytest.fixture
def outcomes() -> Callable[[list[AsyncResult[Any]]], list[Any]]:
    """The values of results, each waited for."""
    return lambda results: [result.get(timeout=120) for result in results]
