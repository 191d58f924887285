"""RabbitMQ 4.0 and newer drops a message of a quorum queue that was given back 20 times."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import amqp
import pytest
from private_nodes import Broker, until
from waiting import Eventually

from routewright.runtime import App, Group, Route, Router, Worker, WorkerLost
from routewright.runtime.parking.parked_queue import ParkedQueue
from routewright.runtime.transport.broker import Broker as Address

pytestmark = pytest.mark.broker
RunWorker = Callable[[App], AbstractContextManager[Worker]]

QUORUM = {"x-queue-type": "quorum"}
TIMES = 25  # more than the broker's limit


class Shop:
    """A quorum queue of tasks and one for parking."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        with self.channel() as channel:
            for queue in ("work", "shop.parked"):
                channel.queue_declare(queue, durable=True, auto_delete=False, arguments=QUORUM)

    def channel(self) -> Any:
        return _Channel(self.broker)

    def app(self, **router: Any) -> App:
        routes = [Route("t", "", "work", ("work",))]
        groups = [Group("group", ("work",), concurrency=1, prefetch=4)]
        return App(
            Router[str](
                topology="shop",
                source="sha256:0",
                target="rabbitmq-4.0",
                vhost=None,
                routes=routes,
                groups=groups,
                **{"parking": "shop.parked", **router},
            ),
            self.broker.url,
        )

    def messages(self, queue: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).message_count)

    @property
    def parking(self) -> ParkedQueue:
        return ParkedQueue(Address(self.broker.url), "shop.parked")

    def parked(self) -> list[Any]:
        return self.parking.messages(100)


class _Channel:
    """A channel on a connection that is cut at the end, as by a worker that is killed."""

    def __init__(self, broker: Broker) -> None:
        host = f"127.0.0.1:{broker.node.port}"
        self._connection = amqp.Connection(host, virtual_host=broker.vhost)

    def __enter__(self) -> Any:
        self._connection.connect()
        return self._connection.channel()

    def __exit__(self, *_: object) -> None:
        self._connection.collect()


@pytest.fixture
def shop(newer_broker: Broker) -> Shop:
    return Shop(newer_broker)


@pytest.fixture
def app(shop: Shop) -> Iterator[App]:
    app = shop.app()
    yield app
    app.close()


@pytest.fixture
def run_worker(shop: Shop, stage_at: Callable[[str], Any]) -> RunWorker:
    found: RunWorker = stage_at(shop.broker.url).worker
    return found


def _lose_workers(shop: Shop, times: int) -> None:
    """Has a message delivered to consumers that die of it."""
    for _ in range(times):
        with shop.channel() as channel:
            until(lambda: channel.basic_get("work"))


def test_a_task_whose_worker_is_killed_again_and_again_is_parked_before_the_broker_drops_it(
    shop: Shop, app: App, run_worker: RunWorker
) -> None:
    @app.task(name="t")
    def task() -> None:
        raise AssertionError("it has no try left")

    result = task.delay()
    _lose_workers(shop, 19)
    with run_worker(app), pytest.raises(WorkerLost, match="delivered 20 times"):
        result.get(timeout=60)
    [parked] = shop.parked()
    assert (parked.task, parked.queue) == ("t", "work")
    assert parked.reason == "delivery-limit: delivered 20 times and never acknowledged"


def test_a_task_that_is_handed_back_again_and_again_is_run_or_parked(
    shop: Shop, app: App, run_worker: RunWorker, eventually: Eventually
) -> None:
    began, may_end, ran = threading.Event(), threading.Event(), []

    @app.task(name="t")
    def task(name: str) -> None:
        if name == "long":
            began.set()
            assert may_end.wait(60)
        ran.append(name)

    task.delay("waiting")
    for _ in range(TIMES):
        began.clear()
        may_end.clear()
        task.apply_async(["long"], priority=0)  # before the one that waits
        with run_worker(app) as worker:
            assert began.wait(60)
            worker.stop()
            eventually(lambda: shop.messages("work") or shop.messages("shop.parked"))
            may_end.set()
    if not shop.messages("shop.parked"):
        with run_worker(app):
            eventually(lambda: "waiting" in ran)
    assert ran.count("waiting") + shop.messages("shop.parked") == 1


def test_a_task_that_waits_behind_a_long_one_is_parked_at_once(
    shop: Shop, app: App, run_worker: RunWorker, eventually: Eventually
) -> None:
    began, may_end = threading.Event(), threading.Event()

    @app.task(name="t")
    def task() -> None:
        began.set()
        assert may_end.wait(60)

    task.delay()
    _lose_workers(shop, 19)
    task.apply_async(priority=0)
    with run_worker(app):
        assert began.wait(60)
        eventually(lambda: shop.messages("shop.parked"))
        may_end.set()
    assert shop.messages("work") == 0


def test_a_limit_that_the_topology_sets_is_left_to_the_broker(
    shop: Shop, run_worker: RunWorker, eventually: Eventually
) -> None:
    app, ran = shop.app(limited=["work"]), []
    app.task(name="t")(ran.append).delay(5)
    _lose_workers(shop, 19)
    with run_worker(app):
        eventually(lambda: ran == [5])
    app.close()
    assert shop.messages("shop.parked") == 0


def test_parked_messages_are_there_however_often_they_are_listed(shop: Shop) -> None:
    names = ["0", "1", "2"]
    with shop.channel() as channel:
        for name in names:
            headers = {"id": name}
            message = amqp.Message("", application_headers=headers, app_id="shop", delivery_mode=2)
            channel.basic_publish_confirm(message, routing_key="shop.parked")
    for _ in range(TIMES):
        until(lambda: sorted(it.id for it in shop.parked()) == names)
    with shop.channel() as channel:
        found = [until(lambda: channel.basic_get("shop.parked")) for _ in names]
    assert {it.properties["app_id"] for it in found} == {"shop"}


def test_parked_messages_that_must_stay_outlive_the_dropping_of_others(shop: Shop) -> None:
    with shop.channel() as channel:
        message = amqp.Message("", application_headers={"id": "one"}, delivery_mode=2)
        channel.basic_publish_confirm(message, routing_key="shop.parked")
    for _ in range(TIMES):
        assert shop.parking.drop({"another"}) == []
        until(lambda: shop.messages("shop.parked"))
    assert [it.id for it in shop.parking.drop(None)] == ["one"]
