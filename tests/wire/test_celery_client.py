"""What a real Celery client sends runs on this runtime's worker: results, links and chains."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from uuid import uuid4

import celery
import pytest
from celery.result import AsyncResult as CeleryResult
from kombu.connection import Connection
from private_nodes import Broker

from routewright.runtime import App
from routewright.runtime.messages.message import running

pytestmark = pytest.mark.broker

# Of these the hints of Celery's source make None and worse.
chain: Any = celery.chain
group: Any = celery.group
signature: Any = celery.signature

HERE = Path(__file__).parent
LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


class Fleet:
    """A Celery client, and the tasks of our worker, which leave word of how they were called."""

    def __init__(self, app: celery.Celery, ours: App) -> None:
        self.celery, self.ours = app, ours
        self.noted: SimpleQueue[tuple[Any, ...]] = SimpleQueue()
        self.released = threading.Event()
        self._register()

    def _register(self) -> None:
        @self.ours.task(name="ours.add")
        def add(x: int, y: int) -> int:
            return x + y

        @self.ours.task(name="ours.mul")
        def mul(x: int, y: int) -> int:
            return x * y

        @self.ours.task(name="ours.fail")
        def fail(*_: object) -> None:
            raise ValueError("a problem", 7)

        @self.ours.task(name="ours.now")
        def now() -> float:
            return time.time()

        @self.ours.task(name="ours.odd")
        def odd() -> object:
            return object()

        @self.ours.task(name="ours.note")
        def note(*args: Any) -> str:
            self.noted.put(args)
            return "noted"

        @self.ours.task(name="ours.errback")
        def errback(request: Any, error: Exception, traceback: str) -> None:
            self.noted.put((request.id, error, traceback))

        @self.ours.task(name="ours.stuck")
        def stuck() -> None:
            self.released.wait(60)

        @self.ours.task(name="ours.flaky", bind=True)
        def flaky(task: Any, times: int, most: int) -> str:
            message: Any = running.get()
            if message.retries < times:
                task.retry(countdown=0.2, max_retries=most)
            return "at last"

        @self.ours.task(name="ours.family")
        def family(*_: object) -> tuple[str, str | None, str | None]:
            message: Any = running.get()
            return message.id, message.root_id, message.parent_id

    def s(self, name: str, *args: Any, **options: Any) -> Any:
        return signature(f"ours.{name}", args=args, options=options, app=self.celery)

    def note(self) -> tuple[Any, ...]:
        return self.noted.get(timeout=120)


@pytest.fixture(scope="module")
def fleet(sums: Any, shared_broker: Broker, own_worker: Any) -> Iterator[Fleet]:
    with (
        sums.celery(shared_broker.url, backend="rpc://") as client,
        App(sums.router, shared_broker.url) as ours,
    ):
        fleet = Fleet(client, ours)
        with own_worker(ours, "ours"):
            yield fleet


def test_a_result_comes_back(fleet: Fleet) -> None:
    sent = fleet.celery.send_task("ours.add", [2], {"y": 2})
    assert sent.get(timeout=120) == 4
    assert sent.successful()


def test_a_task_of_the_client_may_be_delayed(fleet: Fleet) -> None:
    def multiply(x: int, y: int) -> int:
        raise NotImplementedError

    mul: Any = fleet.celery.task(name="ours.mul")(multiply)
    assert mul.delay(3, 4).get(timeout=120) == 12
    assert mul.apply_async((3, 5), priority=9).get(timeout=120) == 15


def test_a_failure_raises_in_the_client(fleet: Fleet) -> None:
    sent = fleet.celery.send_task("ours.fail")
    with pytest.raises(ValueError, match="a problem") as caught:
        sent.get(timeout=120)
    assert caught.value.args == ("a problem", 7)
    assert 'raise ValueError("a problem", 7)' in sent.traceback


def test_a_countdown_and_an_eta_are_kept_to(fleet: Fleet) -> None:
    started = time.time()
    assert fleet.celery.send_task("ours.now", countdown=1).get(timeout=120) >= started + 1
    eta = datetime.now(UTC) + timedelta(seconds=0.7)
    assert fleet.celery.send_task("ours.now", eta=eta).get(timeout=120) >= eta.timestamp()


def test_expires_is_kept_to(fleet: Fleet) -> None:
    assert fleet.celery.send_task("ours.add", [1, 1], expires=60).get(timeout=120) == 2
    # Without `expiration`, in which Celery tells the broker to drop it, the worker has to look.
    late = fleet.celery.send_task("ours.add", [1, 1], countdown=1, expires=LONG_AGO)
    with pytest.raises(Exception, match="expired"):
        late.get(timeout=120)
    assert late.state == "REVOKED"


def test_a_result_that_is_ignored_is_not_sent(fleet: Fleet) -> None:
    sent = fleet.celery.send_task("ours.note", ["quiet"], ignore_result=True)
    assert fleet.note() == ("quiet",)
    assert sent.ignored


def test_a_chain_hands_on_each_result(fleet: Fleet) -> None:
    sent = (fleet.s("add", 2, 2) | fleet.s("mul", 3)).apply_async()
    assert sent.get(timeout=120) == 12
    assert sent.parent.get(timeout=120) == 4


def test_a_chain_may_be_long_and_have_parts_that_take_nothing(fleet: Fleet) -> None:
    parts = [fleet.s("add", 1, 1), *(fleet.s("add", 1) for _ in range(20))]
    assert chain(*parts).apply_async().get(timeout=120) == 22
    immutable = fleet.s("mul", 5, 5).set(immutable=True)
    assert (
        chain(fleet.s("add", 1, 1), immutable, fleet.s("add", 1)).apply_async().get(timeout=120)
        == 26
    )


def test_a_chain_knows_its_root_and_each_its_parent(fleet: Fleet) -> None:
    sent = chain(*(fleet.s("family") for _ in range(3))).apply_async()
    third, second, first = sent, sent.parent, sent.parent.parent
    assert third.get(timeout=120) == [third.id, first.id, second.id]
    assert second.get(timeout=120) == [second.id, first.id, first.id]
    assert first.get(timeout=120) == [first.id, first.id, None]


def test_a_chain_may_be_delayed_on_its_way(fleet: Fleet) -> None:
    started = time.time()
    now = fleet.s("now").set(immutable=True, countdown=1)
    assert (fleet.s("add", 1, 1) | now).apply_async().get(timeout=120) >= started + 1


def test_a_chain_ends_with_its_first_failure(fleet: Fleet) -> None:
    sent = chain(fleet.s("add", 1, 1), fleet.s("fail"), fleet.s("note"), fleet.s("note"))
    last = sent.apply_async()
    with pytest.raises(ValueError, match="a problem"):
        last.get(timeout=120)
    # Each of those that do not run is told, not only what the client works out of the parents.
    alone = CeleryResult(last.id, app=fleet.celery)
    with pytest.raises(ValueError, match="a problem"):
        alone.get(timeout=120)
    assert fleet.noted.empty()


def test_a_group_needs_nothing_of_the_worker(fleet: Fleet) -> None:
    sent = group(fleet.s("add", 1, 1), fleet.s("add", 2, 2)).apply_async()
    assert sent.get(timeout=120) == [2, 4]


def test_a_chain_may_end_in_a_group(fleet: Fleet) -> None:
    together = group(fleet.s("add", 1), fleet.s("mul", 10), fleet.s("add", 3) | fleet.s("mul", 2))
    sent = (fleet.s("add", 1, 1) | together).apply_async()
    assert sent.get(timeout=120) == [3, 20, 10]


def test_a_callback_gets_the_result(fleet: Fleet) -> None:
    link = [fleet.s("note", "first"), fleet.s("note", "alone").set(immutable=True)]
    sent = fleet.celery.send_task("ours.add", [2, 2], link=link)
    assert sent.get(timeout=120) == 4
    assert {fleet.note(), fleet.note()} == {(4, "first"), ("alone",)}


def test_a_callback_may_be_a_chain_or_a_group(fleet: Fleet) -> None:
    together = group(fleet.s("note", "one"), fleet.s("note", "two"))
    link = [fleet.s("add", 1) | fleet.s("mul", 2) | fleet.s("note", "chained"), together]
    fleet.celery.send_task("ours.add", [2, 2], link=link).get(timeout=120)
    notes = {fleet.note() for _ in range(3)}
    assert notes == {(10, "chained"), (4, "one"), (4, "two")}


def test_a_callback_may_be_asked_for_its_result(fleet: Fleet) -> None:
    link = fleet.s("mul", 3)
    asked = link.freeze()
    fleet.celery.send_task("ours.add", [2, 2], link=link).get(timeout=120)
    assert asked.get(timeout=120) == 12


def test_an_errback_gets_the_id_of_the_task_that_failed(fleet: Fleet) -> None:
    sent = fleet.celery.send_task("ours.fail", link_error=fleet.s("note", "failed"))
    assert fleet.note() == (sent.id, "failed")
    fleet.celery.send_task("ours.add", [1, 1], link_error=fleet.s("note")).get(timeout=120)
    assert fleet.noted.empty()


def test_an_errback_that_wants_request_error_and_traceback_gets_them(fleet: Fleet) -> None:
    sent = fleet.celery.send_task("ours.fail", link_error=fleet.s("errback"))
    task_id, error, traceback = fleet.note()
    assert task_id == sent.id
    assert isinstance(error, ValueError)
    assert "a problem" in traceback


def test_the_errback_of_a_chain_is_that_of_each_of_its_tasks(fleet: Fleet) -> None:
    parts = chain(fleet.s("add", 1, 1), fleet.s("fail"))
    last = parts.apply_async(link_error=fleet.s("note", "failed"))
    assert fleet.note() == (last.id, "failed")


@pytest.mark.parametrize("name", ["nowhere.at.all", "safe"])
def test_what_cannot_be_sent_is_the_failure_of_the_task(fleet: Fleet, name: str) -> None:
    lost = signature(name, app=fleet.celery)
    first = fleet.s("note", "before")
    sent = fleet.celery.send_task(
        "ours.add", [1, 1], link=[first, lost], link_error=fleet.s("note", "told")
    )
    with pytest.raises(Exception, match=f"should follow .*declares no task `{name}`"):
        sent.get(timeout=120)
    assert fleet.note() == (sent.id, "told")
    assert fleet.noted.empty()  # and the other callback has not left either


def test_a_callback_that_no_queue_takes_is_the_failure_of_the_task(
    fleet: Fleet, shared_broker: Broker
) -> None:
    with Connection(shared_broker.url) as connection:
        channel: Any = connection.channel()
        channel.queue_delete("safe")
    lost = signature("safe.add", args=(1,), app=fleet.celery)
    sent = fleet.celery.send_task("ours.add", [1, 1], link=lost)
    with pytest.raises(Exception, match=r"should follow .*`safe\.add`.*NO_ROUTE"):
        sent.get(timeout=120)
    with Connection(shared_broker.url) as connection:
        channel = connection.channel()
        parked = []
        while (message := channel.basic_get("sums.parked", no_ack=True)) is not None:
            parked.append(message.headers["id"])
    assert sent.id in parked


def test_what_follows_a_task_waits_for_its_retries(fleet: Fleet) -> None:
    more = {"link": fleet.s("note", "linked"), "link_error": fleet.s("note", "failed")}
    sent = fleet.celery.send_task("ours.flaky", [2, 2], **more)
    assert sent.get(timeout=120) == "at last"
    assert fleet.note() == ("at last", "linked")
    sent = fleet.celery.send_task("ours.flaky", [2, 1], **more)
    assert fleet.note() == (sent.id, "failed")
    assert fleet.noted.empty()


def test_the_time_limit_of_a_client_is_kept_to(fleet: Fleet) -> None:
    errback = fleet.s("note", "failed")
    sent = fleet.celery.send_task("ours.stuck", time_limit=0.5, link_error=errback)
    with pytest.raises(Exception, match="time limit"):
        sent.get(timeout=120)
    assert fleet.note() == (sent.id, "failed")
    fleet.released.set()


def test_a_value_that_cannot_be_sent_goes_to_no_callback(fleet: Fleet) -> None:
    sent = fleet.celery.send_task("ours.odd", link=fleet.s("note"))
    with pytest.raises(Exception, match="cannot be sent as JSON"):
        sent.get(timeout=120)
    assert fleet.noted.empty()


def test_an_errback_that_cannot_be_sent_harms_nothing(fleet: Fleet) -> None:
    errbacks = [signature("nowhere.at.all", app=fleet.celery), fleet.s("note", "failed")]
    sent = fleet.celery.send_task("ours.fail", link_error=errbacks)
    with pytest.raises(ValueError, match="a problem"):
        sent.get(timeout=120)
    assert fleet.note() == (sent.id, "failed")


def test_an_unknown_task_fails_its_chain(fleet: Fleet) -> None:
    sent = (fleet.s("unknown") | fleet.s("note")).apply_async()
    with pytest.raises(Exception, match=r"no task `ours\.unknown` in this worker"):
        CeleryResult(sent.id, app=fleet.celery).get(timeout=120)


@pytest.mark.parametrize(
    "options",
    [
        {"chord": {"task": "ours.note"}},
        {"link": {"task": "ours.note", "options": {"chord": {"task": "ours.note"}}}},
        {"link": {"task": "celery.chord", "subtask_type": "chord"}},
    ],
)
def test_a_chord_is_refused_with_a_reason(fleet: Fleet, options: Any) -> None:
    sent = fleet.celery.send_task("ours.add", [1, 1], **options)
    with pytest.raises(Exception, match=r"chord.* not supported"):
        sent.get(timeout=120)
    assert sent.state == "FAILURE"


@pytest.mark.usefixtures("fleet")
def test_protocol_1_is_refused_with_a_reason(sums: Any, shared_broker: Broker) -> None:
    with sums.celery(shared_broker.url, backend="rpc://") as old:
        old.conf.task_protocol = 1
        sent = old.send_task("ours.add", [1, 1])
        with pytest.raises(Exception, match="protocol 1, which is not supported"):
            sent.get(timeout=120)


def test_many_clients_at_a_time(fleet: Fleet, sums: Any) -> None:
    found: SimpleQueue[int] = SimpleQueue()

    def ask(number: int) -> None:
        found.put((fleet.s("add", number, 1) | fleet.s("mul", 2)).apply_async().get(timeout=60))
        sums.hang_up(fleet.celery)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {found.get_nowait() for _ in threads} == {2 * (number + 1) for number in range(8)}


def test_a_chain_goes_to_and_fro_between_both_kinds_of_workers(
    fleet: Fleet, sums: Any, shared_broker: Broker, celery_worker: Any
) -> None:
    theirs = signature("theirs.add", args=(10,), app=fleet.celery)
    with celery_worker(sums, shared_broker.url, "theirs"):
        sent = chain(fleet.s("add", 1, 1), theirs, fleet.s("mul", 2), theirs.clone())
        assert sent.apply_async(task_id=str(uuid4())).get(timeout=120) == 34


def test_worker_processes_follow_chains_too(compiled: Any, broker: Broker, tmp_path: Path) -> None:
    topology = compiled(HERE / "sums.yaml")
    topology.declare(broker.url)
    log = tmp_path / "log"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{topology.folder}:{HERE}",
        "WIRE_BROKER": broker.url,
        "WIRE_ROUTER": f"{topology.package}.router",
    }
    command = [sys.executable, "-m", "routewright.compiler.cli", "worker", "ours:app"]
    with log.open("wb") as out, topology.celery(broker.url, backend="rpc://") as client:
        worker = subprocess.Popen(
            [*command, "--group", "ours"], env=environment, stdout=out, stderr=out
        )
        try:
            add, pid = (signature(f"ours.{name}", app=client) for name in ("add", "pid"))
            whole = chain(add.clone((1, 1)), add.clone((1,)), pid).apply_async()
            assert whole.get(timeout=60) != worker.pid
            assert whole.parent.get(timeout=120) == 3
        finally:
            worker.terminate()
            worker.wait(30)
