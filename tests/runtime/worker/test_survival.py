"""Whatever arrives or dies, every task is accounted for."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

import amqp
import pytest
import worker_crash
from message_fuzz import fuzz
from waiting import Eventually

from routewright.runtime import EncodeError

pytestmark = pytest.mark.broker


def test_every_message_is_run_or_parked_and_every_named_result_comes(rabbitmq: Any) -> None:
    account = fuzz(rabbitmq, seed=7, count=700, patience=120)
    assert account.is_settled, account
    assert account.ran > 100
    assert account.parked > 100


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_all_that_was_called_sent_runs_though_processes_are_killed(
    rabbitmq: Any, queue_type: str
) -> None:
    see_to(worker_crash.crash(rabbitmq, queue_type, 1000, "worker"))


def test_all_that_was_called_sent_runs_though_the_broker_is_killed(
    fragile_broker: Any,
) -> None:
    node = fragile_broker.node
    for queue_type in ("classic", "quorum"):
        see_to(worker_crash.crash(node, queue_type, 1000, "broker", kills=1))


def see_to(found: worker_crash.Found) -> None:
    assert (found.missing, found.strange) == (set(), set())
    assert found.confirmed == 1000


@pytest.mark.parametrize(
    ("kind", "compress"),
    [
        ("application/x-gzip", zlib.compress),
        ("application/x-bz2", bz2.compress),
        ("application/x-lzma", lzma.compress),
    ],
)
def test_a_body_that_a_celery_client_has_compressed_is_read(
    rabbit: Any, eventually: Eventually, kind: str, compress: Callable[[bytes], bytes]
) -> None:
    app, took = rabbit.app("t"), []
    app.task(name="t")(took.append)
    body: Any = compress(b"[[5], {}, {}]")  # bytes, whatever py-amqp is annotated with
    message = amqp.Message(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        application_headers={"task": "t", "id": "1", "compression": kind},
    )
    with rabbit.connection() as connection:
        connection.channel().basic_publish(message, exchange="", routing_key=rabbit.queue)
    with rabbit.worker(app):
        eventually(lambda: took == [5])


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_a_header_over_which_the_broker_closes_the_connection_is_refused_before(
    rabbit: Any, number: float
) -> None:
    app = rabbit.app("t")
    with pytest.raises(EncodeError, match="a number is infinite"):
        app.send_task("t", headers={"deep": {"list": [number]}})
    app.send_task("t", ignore_result=True)
    assert rabbit.waiting() == 1
