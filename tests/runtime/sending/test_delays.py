"""Sending later: never early, never lost, and where it would have gone at once."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import amqp
import pytest
from kombu.connection import Connection
from waiting import Eventually

from routewright.compiler import compile_text
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.lowering.delays import ladder_for_runtime, with_delays
from routewright.runtime import (
    App,
    InvalidOption,
    MalformedMessage,
    Route,
    Router,
    Task,
    TaskRevoked,
)
from routewright.runtime.router.delay_ladder import DelayLadder
from routewright.runtime.sending import sender
from routewright.runtime.sending.resending import Resender
from routewright.runtime.worker import deliveries

TOPOLOGY = """
topology: sums
target: rabbitmq-3.10
delays: {resolution: 100ms, max: 30d}
exchanges: {tasks: {type: topic}}
queues: {QUEUE: {exchange: tasks, binding_key: "work.#"}}
tasks: {t: {exchange: tasks, routing_key: work.do}}
"""
FAR = timedelta(days=1)


@pytest.fixture
def delaying(rabbit: Any) -> tuple[Any, DelayLadder]:
    """The stage on a broker, with the delays of a topology applied to it."""
    topology = compile_text(TOPOLOGY.replace("QUEUE", rabbit.queue)).topology
    assert topology
    apply_topology(with_delays(topology), rabbit.url)
    ladder = ladder_for_runtime(topology)
    assert ladder
    return rabbit, ladder


def app_of(stage: Any, ladder: DelayLadder | None, *tasks: str, **options: Any) -> App:
    """An app of the stage whose router delays by a ladder."""
    app: App = stage.app(*(tasks or ("t",)), **options)
    app.router.delays = ladder
    return app


Delayed: TypeAlias = tuple[Any, DelayLadder, App]


@pytest.fixture
def delayed(delaying: tuple[Any, DelayLadder]) -> Delayed:
    """The stage, its ladder, and an app that delays its one task by it."""
    stage, ladder = delaying
    return stage, ladder, app_of(stage, ladder)


@contextmanager
def early(stage: Any, message_id: str, eta: datetime, **properties: Any) -> Iterator[None]:
    """Put a message with an `eta` into the queue as a client without delays does."""
    headers = {"task": "t", "id": message_id, "eta": eta.isoformat()}
    message = amqp.Message(
        "[[], {}, {}]",
        content_type="application/json",
        content_encoding="utf-8",
        application_headers=headers,
        **properties,
    )
    with stage.connection() as connection:
        connection.channel().basic_publish(message, exchange="", routing_key=stage.queue)
    yield


def last_stop(ladder: DelayLadder) -> str:
    return f"sums.delayed.{ladder.exchange.split('.')[2]}"


def waiting(stage: Any, ladder: DelayLadder) -> list[Any]:
    """The messages that the ladder holds, looked at and put back."""
    found = []
    with stage.connection() as connection:
        channel = connection.channel()
        for level in range(ladder.bits):
            while raw := channel.basic_get(f"{ladder.exchange.rpartition('.')[0]}.{level}"):
                found.append(raw)
        channel.close()
    return found


def held_for(raw: Any, ladder: DelayLadder) -> timedelta:
    """The delay that the key of a message asks for."""
    digits = raw.delivery_info["routing_key"].split(".")[: ladder.bits]
    return int("".join(digits), 2) * timedelta(milliseconds=ladder.resolution)


@pytest.mark.broker
def test_the_guides_countdown_takes_at_least_its_three_seconds(
    delayed: Delayed,
) -> None:
    stage, _, the_app = delayed

    class AddTask(Task):
        app = the_app
        name = "t"

        def run(self, x: int, y: int) -> int:
            return x + y

    with stage.worker(the_app):
        started = time.monotonic()
        result = AddTask.apply_async(args=[10, 10], countdown=3)
        assert stage.waiting() == 0  # it is not the worker that holds it
        assert result.get(timeout=120) == 20
        assert time.monotonic() - started >= 3


@pytest.mark.broker
def test_the_guides_tomorrow_is_local_time_and_waits_on_the_broker(
    delayed: Delayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, ladder, the_app = delayed
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()

    class UnbanTask(Task):
        app = the_app
        name = "t"

        def run(self, username: str) -> None: ...

    try:
        tomorrow = datetime.now() + timedelta(days=1)  # noqa: DTZ005  as in the guide
        UnbanTask.apply_async(args=["dent"], eta=tomorrow)
        (raw,) = waiting(stage, ladder)
    finally:
        monkeypatch.undo()
        time.tzset()
    written = raw.headers["eta"]
    assert written == f"{tomorrow.isoformat()}+05:45"
    assert FAR - timedelta(minutes=1) < held_for(raw, ladder) <= FAR + timedelta(milliseconds=100)
    assert stage.waiting() == 0


@pytest.mark.broker
def test_no_task_is_early_and_each_runs_once(delayed: Delayed) -> None:
    stage, _, app = delayed
    runs: list[tuple[float, datetime]] = []
    app.task(name="t")(lambda countdown: runs.append((countdown, datetime.now(UTC))))
    countdowns = [*(step / 16 for step in range(24)), 0.001, 0.1, 1.999]
    sent = {}
    with stage.worker(app):
        results = []
        for countdown in countdowns:
            sent[countdown] = datetime.now(UTC)
            results.append(app.send_task("t", [countdown], countdown=countdown))
        for result in results:
            result.get(timeout=120)
    assert sorted(countdown for countdown, _ in runs) == sorted(countdowns)
    for countdown, ran in runs:
        assert ran >= sent[countdown] + timedelta(seconds=countdown)


@pytest.mark.parametrize("eta", [timedelta(), timedelta(days=-3)])
@pytest.mark.broker
def test_what_is_due_already_is_sent_at_once(delayed: Delayed, eta: timedelta) -> None:
    stage, _, app = delayed
    app.send_task("t", eta=datetime.now(UTC) + eta)
    app.send_task("t", countdown=0)
    assert stage.waiting() == 2


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"countdown": -1}, "countdown is a number of seconds from 0 on, not -1"),
        ({"countdown": math.nan}, "not nan"),
        ({"countdown": math.inf}, "not inf"),
        ({"countdown": 1e300}, "not 1e"),
        ({"countdown": True}, "not True"),
        ({"countdown": "3"}, "not '3'"),
        ({"eta": 3}, "eta is a datetime, not 3"),
        ({"eta": "2030-01-01"}, "eta is a datetime"),
        ({"eta": datetime(9999, 12, 31, tzinfo=UTC)}, "delayed by 30 days"),
        ({"eta": datetime.now(UTC), "countdown": 1}, "give one of them"),
        ({"countdown": 31 * 24 * 3600}, "delayed by 30 days, 0:00:00 at most"),
        ({"eta": datetime.now(UTC) + timedelta(days=31)}, "see `delays` in the topology"),
        ({"countdwon": 3}, "has no option `countdwon`; its options are .*`countdown`, `eta`"),
    ],
)
def test_what_is_no_time_is_refused_before_anything_is_sent(
    memory: Any, options: dict[str, Any], problem: str
) -> None:
    app = app_of(memory, DelayLadder("sums.delay.24", 25, 100, 30 * 24 * 3600 * 1000))
    with pytest.raises(InvalidOption, match=problem):
        app.send_task("t", **options)
    memory.declare()
    assert memory.waiting() == 0


def test_a_topology_without_delays_says_how_to_have_them(memory: Any) -> None:
    router = Router[str](
        topology="stage",
        source="sha256:0",
        target="rabbitmq-3.10",
        vhost=None,
        routes=[Route("t", "tasks", "work.do", (memory.queue,))],
        groups=[],
    )
    with (
        App(router, "amqp://localhost:1//") as app,  # before any network
        pytest.raises(InvalidOption, match=r"declare `delays: \{resolution: 100ms, max: 30d\}`"),
    ):
        app.send_task("t", countdown=1)


def test_a_key_that_a_delay_makes_too_long_is_refused() -> None:
    ladder = DelayLadder("d.delay.24", 25, 100, 10_000, ("tasks",))
    assert len(ladder.address("tasks", "k" * 199, timedelta())[1]) == 255
    with pytest.raises(InvalidOption, match="takes 256 bytes with the delay"):
        ladder.address("tasks", "k" * 200, timedelta())
    with pytest.raises(InvalidOption, match="no task of the topology goes to exchange `others`"):
        ladder.address("others", "k", timedelta())


@pytest.mark.broker
def test_a_delay_is_not_cut_short_by_an_expiry_and_the_expiry_counts(
    delayed: Delayed,
) -> None:
    stage, _, app = delayed
    app.task(name="t")(lambda: "run")
    with stage.worker(app):
        started = time.monotonic()
        gone = app.send_task("t", countdown=1.5, expires=0.5)
        kept = app.send_task("t", countdown=1.5, expires=60)
        assert kept.get(timeout=120) == "run"
        with pytest.raises(TaskRevoked):
            gone.get(timeout=120)
        assert time.monotonic() - started >= 1.5


@pytest.mark.broker
def test_the_route_that_counts_is_the_one_at_the_end_of_the_delay(
    delayed: Delayed, eventually: Eventually
) -> None:
    stage, ladder, app = delayed
    app.send_task("t", countdown=2)
    anchored = f"{'*.' * ladder.bits}tasks.work"
    with stage.connection() as connection:
        channel = connection.channel()
        channel.queue_unbind(stage.queue, last_stop(ladder), f"{anchored}.#")
        channel.queue_declare("new", durable=True, auto_delete=False)
        channel.queue_bind("new", last_stop(ladder), f"{anchored}.do")
    eventually(lambda: stage.waiting("new") == 1)
    assert stage.waiting() == 0


@pytest.mark.broker
def test_a_task_whose_route_is_gone_is_kept_and_holds_up_no_other(
    delayed: Delayed, eventually: Eventually
) -> None:
    stage, ladder, app = delayed
    for _ in range(40):  # the broker tries 32 at a time
        app.send_task("t", countdown=0.1, ignore_result=True)
    with stage.connection() as connection:
        channel = connection.channel()
        channel.queue_unbind(stage.queue, last_stop(ladder), f"{'*.' * ladder.bits}tasks.work.#")
        eventually(lambda: stage.waiting("sums.delay.lost") + stage.waiting() == 40)
        before = stage.waiting()
        channel.queue_bind(stage.queue, last_stop(ladder), f"{'*.' * ladder.bits}tasks.work.#")
    app.send_task("t", countdown=0.1)
    eventually(lambda: stage.waiting() == before + 1)


@pytest.mark.broker
def test_a_task_of_another_client_that_comes_early_is_put_off_and_runs_once(
    delaying: tuple[Any, DelayLadder],
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    """Into its queue alone, with its priority, and not by the exchange that may have others."""
    monkeypatch.setattr(deliveries, "HOLD", timedelta())
    stage, ladder = delaying
    with stage.connection() as connection:
        channel = connection.channel()
        channel.queue_declare("copy", durable=True, auto_delete=False)
        channel.queue_bind("copy", "tasks", "#")
    app = app_of(stage, ladder)
    runs: list[datetime] = []
    app.task(name="t")(lambda: runs.append(datetime.now(UTC)))
    due = datetime.now(UTC) + timedelta(seconds=2)
    with early(stage, "1", due, priority=7), stage.worker(app):
        eventually(lambda: waiting(stage, ladder))
        assert [raw.properties["priority"] for raw in waiting(stage, ladder)] == [7]
        eventually(lambda: runs)
    assert len(runs) == 1
    assert runs[0] >= due
    assert stage.waiting() == stage.waiting("copy") == 0


@pytest.mark.broker
def test_a_task_that_is_early_by_little_is_held_and_given_back_at_the_end(
    delayed: Delayed, eventually: Eventually
) -> None:
    stage, _, app = delayed
    runs: list[datetime] = []
    app.task(name="t")(lambda: runs.append(datetime.now(UTC)))
    due = datetime.now(UTC) + timedelta(seconds=1)
    with early(stage, "1", due):
        with stage.worker(app) as one:
            eventually(lambda: len(one._deliveries._not_yet_due) == 1)
        assert (stage.waiting(), runs) == (1, [])
        with stage.worker(app):
            eventually(lambda: runs)
    assert runs[0] >= due


@pytest.mark.broker
def test_an_early_task_without_delays_is_refused_and_its_sender_told(
    rabbit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = rabbit.app("t")
    app.task(name="t")(lambda: "run")
    with rabbit.worker(app), monkeypatch.context() as careless:
        careless.setattr(sender, "delayed_route", lambda _router, _broker, route, _time: route)
        with pytest.raises(MalformedMessage, match=r"header `eta` .* cannot send later: declare"):
            app.send_task("t", countdown=3600).get(timeout=120)
        assert app.send_task("t").get(timeout=120) == "run"
    assert rabbit.waiting() == 0


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def virtual(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The stage where no broker can delay: in memory, and on Redis."""
    if request.param == "memory":
        yield request.getfixturevalue("memory")
        return
    server = request.getfixturevalue("redis_server")
    stage = type(request.getfixturevalue("memory"))(server.url)
    yield stage
    stage.close()


def test_without_a_rabbitmq_the_worker_holds_tasks_and_runs_others_meanwhile(
    virtual: Any,
) -> None:
    virtual.declare()
    app = virtual.app("t")
    runs: list[str] = []
    app.task(name="t")(runs.append)
    with virtual.worker(app, concurrency=1, prefetch=1) as running:
        started = time.monotonic()
        results = [app.send_task("t", [f"later {n}"], countdown=1) for n in range(5)]
        far = app.send_task("t", ["tomorrow"], eta=datetime.now(UTC) + FAR)
        app.send_task("t", ["now"]).get(timeout=120)
        assert runs == ["now"]
        for result in results:
            result.get(timeout=120)
        assert time.monotonic() - started >= 1
        assert len(running._deliveries._not_yet_due) == 1
    assert runs == ["now", *(f"later {n}" for n in range(5))]
    assert not far.ready()
    assert virtual.waiting() == 1


def test_in_memory_what_was_held_long_is_put_back_and_held_anew(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a broker that takes back what is unsettled for an hour never gives it to two."""
    monkeypatch.setattr(deliveries, "LONG_HOLD", timedelta(milliseconds=50))
    memory.declare()
    app = memory.app("t")
    runs: list[datetime] = []
    app.task(name="t")(lambda: runs.append(datetime.now(UTC)))
    postpone = Resender.postpone
    times = []
    monkeypatch.setattr(
        Resender, "postpone", lambda *message: (times.append(1), postpone(*message))
    )
    due = datetime.now(UTC) + timedelta(seconds=1)
    with memory.worker(app):
        app.send_task("t", eta=due).get(timeout=120)
    assert len(times) >= 2
    assert len(runs) == 1
    assert runs[0] >= due


def test_a_naive_eta_of_a_year_without_local_time_is_refused(memory: Any) -> None:
    app = memory.app("t")
    with pytest.raises(InvalidOption, match="eta is a datetime"):
        app.send_task("t", eta=datetime(1, 1, 1))  # noqa: DTZ001  naive on purpose


@pytest.mark.broker
def test_a_delay_longer_than_the_consumer_timeout_arrives(
    fragile_broker: Any, eventually: Eventually
) -> None:
    with fragile_broker.node.settings(consumer_timeout=1000, channel_tick_interval=500):
        _arrives_after_the_consumer_timeout(fragile_broker.url, eventually)


def _arrives_after_the_consumer_timeout(url: str, eventually: Eventually) -> None:
    topology = compile_text(TOPOLOGY.replace("QUEUE", "work")).topology
    assert topology
    apply_topology(with_delays(topology), url)
    router = Router[str](
        topology="sums",
        source="sha256:0",
        target="rabbitmq-3.10",
        vhost=None,
        routes=[Route("t", "tasks", "work.do", ("work",))],
        groups=[],
        delays=ladder_for_runtime(topology),
    )
    with App(router, url) as app:
        app.send_task("t", countdown=4, task_id="late")
        app.send_task("t", task_id="held")
        with Connection(url) as connection:
            channel: Any = connection.channel()
            channel.basic_consume("work", callback=lambda _message: None)
            connection.drain_events(timeout=30)
            with pytest.raises(amqp.PreconditionFailed, match="timed out"):
                connection.drain_events(timeout=60)  # what nobody acknowledges costs the channel
        with Connection(url) as connection:
            channel = connection.channel()

            def look() -> bool:
                raw = channel.basic_get("work", no_ack=True)
                return raw is not None and raw.headers["id"] == "late"

            eventually(look)
