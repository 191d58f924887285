"""A message that comes back while its task runs, or after it ended, does not run it again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import kombu.transport.redis
import pytest
from private_nodes import Broker, Cable, RabbitMQ, Redis
from waiting import Eventually

from routewright.runtime import Route
from routewright.runtime.messages.message import Envelope
from routewright.runtime.parking.parked_message import requeued
from routewright.runtime.transport.consumer import Delivery
from routewright.runtime.worker.redeliveries import Redeliveries
from routewright.runtime.worker.verdicts import Disposition, Settlement


class Work:
    """A task that counts its beginnings, and goes on when it may."""

    def __init__(self, app: Any) -> None:
        self.begun: list[str] = []
        self.may_end = threading.Event()

        @app.task(name="long")
        def long() -> str:
            self.begun.append("long")
            assert self.may_end.wait(60)
            return "done"

        @app.task(name="quick")
        def quick() -> None:
            self.begun.append("quick")

        self.long, self.quick = long, quick


@pytest.fixture
def lost(rabbit: Any, eventually: Eventually) -> Iterator[tuple[Work, Any]]:
    """The work of an app, and the result of a task that ran as its worker's connection was lost."""
    with Cable(rabbit.url) as cable:
        direct, rabbit.url = rabbit.url, cable.url
        app = rabbit.app("long", "quick")
        work = Work(app)
        with rabbit.worker(app):
            result = work.long.delay()
            eventually(lambda: work.begun == ["long"])
            cable.drop()
            yield work, result
        assert rabbit.waiting() == 0
        rabbit.close()
        rabbit.url = direct


@pytest.mark.broker
def test_a_task_that_runs_while_its_message_comes_back_is_acknowledged_when_it_ends(
    lost: tuple[Work, Any], eventually: Eventually
) -> None:
    work, result = lost
    work.quick.delay()  # it stands behind the message that comes back
    eventually(lambda: "quick" in work.begun)
    work.may_end.set()
    assert result.get(timeout=60) == "done"
    assert sorted(work.begun) == ["long", "quick"]


@pytest.mark.broker
def test_a_task_that_ended_while_its_connection_was_lost_does_not_run_again(
    lost: tuple[Work, Any], eventually: Eventually
) -> None:
    work, result = lost
    work.may_end.set()
    assert result.get(timeout=60) == "done"
    work.quick.delay()
    eventually(lambda: "quick" in work.begun)
    assert work.begun == ["long", "quick"]


def _runs_once_beyond_the_consumer_timeout(
    stage: Any, queue_type: str, eventually: Eventually
) -> None:
    stage.queue = f"{stage.queue}-{queue_type}"
    with stage.connection() as connection:
        channel: Any = connection.channel()
        arguments = {"x-queue-type": queue_type}
        channel.queue_declare(stage.queue, durable=True, auto_delete=False, arguments=arguments)
    app = stage.app(*(Route(name, "", stage.queue, (stage.queue,)) for name in ("long", "quick")))
    work = Work(app)
    with stage.worker(app):
        result = work.long.delay()
        eventually(lambda: work.begun == ["long"])
        eventually(stage.waiting, within=90)  # the broker has taken it back, for the moment
        work.quick.delay()
        eventually(lambda: "quick" in work.begun, within=60)
        work.may_end.set()
        assert result.get(timeout=60) == "done"
        work.quick.delay()
        eventually(lambda: work.begun.count("quick") == 2, within=60)
    assert sorted(work.begun) == ["long", "quick", "quick"]
    eventually(lambda: not stage.waiting())


def impatient(node: RabbitMQ) -> AbstractContextManager[None]:
    """A shared node takes back, for a while, what is not acknowledged within a second."""
    return node.settings(consumer_timeout=1000, channel_tick_interval=500)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_a_task_that_runs_for_longer_than_the_consumer_timeout_runs_once(
    rabbitmq: RabbitMQ, rabbit: Any, queue_type: str, eventually: Eventually
) -> None:
    with impatient(rabbitmq):
        _runs_once_beyond_the_consumer_timeout(rabbit, queue_type, eventually)


def test_a_task_of_a_newer_release_that_runs_for_longer_than_its_timeout_runs_once(
    newer_broker: Broker, stage_at: Callable[[str], Any], eventually: Eventually
) -> None:
    with impatient(newer_broker.node):
        _runs_once_beyond_the_consumer_timeout(stage_at(newer_broker.url), "quorum", eventually)


@pytest.mark.redis
def test_a_task_that_runs_for_longer_than_the_visibility_timeout_runs_once(
    redis_server: Redis,
    stage_at: Callable[[str], Any],
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kombu.transport.redis.Channel, "visibility_timeout", 1)
    came_back = threading.Event()
    restore = kombu.transport.redis.Channel._do_restore_message

    def noticed(*arguments: Any, **options: Any) -> None:
        restore(*arguments, **options)
        came_back.set()

    monkeypatch.setattr(kombu.transport.redis.Channel, "_do_restore_message", noticed)
    stage = stage_at(redis_server.url)
    stage.declare()
    app = stage.app("long", "quick")
    work = Work(app)
    with stage.worker(app):
        work.long.apply_async(ignore_result=True)
        assert came_back.wait(60)
        work.quick.apply_async(ignore_result=True)
        eventually(lambda: "quick" in work.begun)
        work.may_end.set()
        work.quick.apply_async(ignore_result=True)
        eventually(lambda: work.begun.count("quick") == 2)
    assert work.begun.count("long") == 1


class _Source:
    lost = False


def _delivery(tag: int, envelope: Envelope, *, redelivered: bool = True) -> Delivery:
    source: Any = _Source()
    return Delivery(envelope, tag, "work", source, redelivered)


ENVELOPE = Envelope("[[], {}, {}]", "application/json", "utf-8", {"id": "1", "retries": 0})


def _ended(envelope: Envelope, *, final: bool = True) -> Redeliveries:
    known, delivery = Redeliveries(), _delivery(1, envelope)
    known.started(delivery)
    known.settled(Settlement(delivery, Disposition.ACK, "reply", ENVELOPE, final=final))
    return known


def test_the_reply_is_sent_again_for_a_message_that_comes_back() -> None:
    copy = _delivery(2, ENVELOPE)
    owed = _ended(ENVELOPE).owed(copy)
    assert owed == Settlement(copy, Disposition.ACK, "reply", ENVELOPE)


@pytest.mark.parametrize(
    "other",
    [
        replace(ENVELOPE, headers={"id": "1", "retries": 1}),
        replace(ENVELOPE, headers={"id": "2", "retries": 0}),
        replace(ENVELOPE, body="[[1], {}, {}]"),
        requeued(ENVELOPE),
        replace(ENVELOPE, headers={"retries": 0}),
    ],
    ids=["the next try", "another task", "other arguments", "put back", "no id"],
)
def test_another_message_is_not_taken_for_one_that_ended(other: Envelope) -> None:
    assert _ended(ENVELOPE).owed(_delivery(2, other)) is None


def test_a_message_that_was_parked_is_not_taken_for_one_that_ended() -> None:
    assert _ended(ENVELOPE, final=False).owed(_delivery(2, ENVELOPE)) is None
