"""Retries, parking and stopping on Redis, where the worker itself holds what is not due."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from project import PATIENT, Project
from redis import Redis as Client
from waiting import Eventually

from routewright.runtime.connect import connections
from routewright.runtime.transport.broker import Broker
from routewright.runtime.transport.consumer import Consumer, Delivery
from routewright.runtime.transport.waker import Waker

pytestmark = pytest.mark.redis

TOPOLOGY = """
topology: shop
target: redis
exchanges: {tasks: {type: direct}}
queues:
  work: {exchange: tasks, binding_key: work}
defaults: {exchange: tasks, routing_key: work}
tasks:
  jobs.patient: {retry: {max: 3, backoff: 8s, jitter: false}}
  jobs.hasty: {retry: {max: 1, backoff: 50ms}}
workers:
  all: {queues: [work], concurrency: 2}
"""

CODE = """
import pathlib
from routewright.runtime import App
from shop_routing import router

here = pathlib.Path(__file__).parent
app = App(router)

@app.task
def hasty(number):
    raise ValueError(number)
"""


@pytest.fixture
def url(private_redis: Any) -> str:
    found: str = private_redis().url
    return found


@pytest.fixture
def redis(url: str) -> Iterator[Any]:
    with Client.from_url(url) as client:
        yield client


@pytest.fixture
def shop(url: str, tmp_path: Path) -> Iterator[Project]:
    project = Project(tmp_path, url, TOPOLOGY, CODE + PATIENT)
    yield project
    project.close()


def test_a_retry_that_a_worker_holds_outlives_it(
    shop: Project, redis: Any, eventually: Eventually
) -> None:
    with shop.client() as jobs:
        with shop.worker() as process:
            result = jobs.patient.delay(7)
            eventually(lambda: result.status == "RETRY")
            eventually(lambda: redis.hlen("unacked") == 1)  # it has come again and is held
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        assert (redis.llen("work"), redis.hlen("unacked")) == (1, 0)
        (shop.folder / "mended").touch()
        with shop.worker():
            assert result.get(timeout=120) == 7
    assert (redis.llen("work"), redis.hlen("unacked")) == (0, 0)


def test_what_has_used_up_its_retries_is_parked_in_a_list(
    shop: Project, redis: Any, eventually: Eventually
) -> None:
    with shop.client() as jobs, shop.worker():
        result = jobs.hasty.delay(7)
        with pytest.raises(ValueError, match="7"):
            result.get(timeout=120)
        eventually(lambda: redis.llen("shop.parked") == 1)
        eventually(lambda: redis.hlen("unacked") == 0)
    headers = json.loads(redis.lindex("shop.parked", 0))["headers"]
    assert headers["id"] == result.id
    assert headers["routewright-reason"] == "given up after 1 retries: ValueError(7)"
    assert len(headers["routewright-history"]) == 2


def test_a_message_that_was_given_back_is_known_for_one(url: str) -> None:
    broker, came = Broker(url), list[Delivery]()
    connection = broker.connect()
    with connection.SimpleQueue("work") as queue:
        queue.put({})
    connections.close(connection)
    with Waker() as waker:
        consumer = Consumer(
            broker, came.append, lambda it: it.consume("work"), waker=waker, prefetch=1
        )
        deadline = time.monotonic() + 20
        while len(came) < 2 and time.monotonic() < deadline:
            consumer.wait(0.1)
            if len(came) == 1:
                consumer.reject(came[0], requeue=True)
        consumer.close()
    assert [delivery.redelivered for delivery in came] == [False, True]
