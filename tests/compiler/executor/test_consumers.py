"""A queue is replaced under its consumers: workers follow, others are named and waited for."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import amqp
import pytest
from deploying import apply, session
from private_nodes import Broker, until

from routewright.compiler.broker.errors import ConnectionLost, StillInUse
from routewright.compiler.executor import consumers
from routewright.compiler.executor.deploy import plan_for
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.plan.changes import Release
from routewright.compiler.plan.file import from_json, to_json
from routewright.runtime import App, Group, Route, Router, Worker
from routewright.runtime.messages.orders import STAND_IN, WORKER

pytestmark = pytest.mark.broker

CLASSIC: dict[str, object] = {}
QUORUM: dict[str, object] = {"x-queue-type": "quorum"}
PRIORITIES: dict[str, object] = {"x-max-priority": 3}


def topology(arguments: dict[str, object]) -> Topology:
    exchange = Exchange("e", "topic")
    queue = Queue("q", arguments=arguments)  # type: ignore[arg-type]
    other = Queue("other")
    return Topology(
        "t",
        exchanges={"e": exchange},
        queues={"q": queue, "other": other},
        bindings=(Binding(exchange, queue, "q"), Binding(exchange, other, "other")),
    )


@contextmanager
def channel(broker: Broker) -> Iterator[Any]:
    with amqp.Connection(f"127.0.0.1:{broker.node.port}", virtual_host=broker.vhost) as connection:
        yield connection.channel()


def there(broker: Broker) -> Any:
    """What is declared on the broker, but for what belongs to a connection."""
    exported = broker.node.api("GET", f"/definitions/{broker.vhost}")
    return {key: sorted(exported[key], key=repr) for key in ("exchanges", "queues", "bindings")}


class Load:
    """Tasks that are sent all the time to two queues, and a worker of both."""

    def __init__(self, broker: Broker) -> None:
        routes = [Route("slow", "e", "q", ("q",)), Route("quick", "e", "other", ("other",))]
        group = Group("g", ("q", "other"), concurrency=3, prefetch=8)
        router = Router[str](
            topology="t", source="", target="", vhost=None, routes=routes, groups=[group]
        )
        self.app = App(router, broker.url)
        self.runs: Counter[int] = Counter()
        self.sent = 0
        self._stop = threading.Event()
        self._group = group

        @self.app.task(name="slow")
        def slow(number: int) -> None:
            self.runs[number] += 1
            time.sleep(0.02)

        @self.app.task(name="quick")
        def quick(number: int) -> None:
            self.runs[number] += 1

    def __enter__(self) -> Self:
        self._worker = Worker(self.app, self._group, grace=10)
        self._threads = [threading.Thread(target=it) for it in (self._worker.run, self._send)]
        for thread in self._threads:
            thread.start()
        until(lambda: self.runs.total() > 5)
        return self

    def _send(self) -> None:
        while not self._stop.wait(0.005):
            name = ("slow", "quick")[self.sent % 2]
            self.app.send_task(name, [self.sent], ignore_result=True)
            self.sent += 1

    def finish(self) -> None:
        """Send no more, and wait until all has run."""
        self._stop.set()
        self._threads[1].join()
        until(lambda: len(self.runs) == self.sent)

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._worker.stop()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        self.app.close()


def test_each_task_runs_once_while_applies_are_killed_under_a_worker(broker: Broker) -> None:
    """Each kill is followed by the same command, which finishes."""
    apply(topology(CLASSIC), broker)
    with Load(broker) as load, channel(broker) as look:
        for number, arguments in enumerate((QUORUM, PRIORITIES, QUORUM, CLASSIC)):
            with session(broker) as opened_:
                pending = plan_for(topology(arguments), opened_).pending
            places = [n for n, it in enumerate(pending, 1) if isinstance(it.change, Release)]
            assert len(places) == 2
            killed_after = places[number // 2] + number % 2

            def cut(_phase: str, done: int, _total: int, limit: int = killed_after) -> None:
                if done == limit:
                    raise ConnectionLost("killed")

            with pytest.raises(ConnectionLost):
                apply(topology(arguments), broker, on_step=cut)
            apply(topology(arguments), broker)
            before = load.runs.total()
            until(lambda before=before: load.runs.total() > before + 5)  # type: ignore[misc]
        load.finish()
        until(lambda: look.queue_declare("q", passive=True).consumer_count == 1)
        with session(broker) as opened_:
            assert not plan_for(topology(CLASSIC), opened_).steps
    assert set(load.runs.values()) == {1}
    assert {it["name"] for it in there(broker)["queues"]} == {"q", "other"}


def test_others_are_named_and_let_go_and_what_they_hold_is_waited_for(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message is held by a channel whose consumer was cancelled, and then given back."""
    monkeypatch.setattr(consumers, "STALE", 0.0)  # for the count is waited for beforehand
    apply(topology(CLASSIC), broker)
    before = there(broker)
    with channel(broker) as theirs, channel(broker) as look:
        got: list[Any] = []
        theirs.basic_consume("q", consumer_tag="theirs", callback=got.append)
        look.basic_publish(amqp.Message("m", delivery_mode=2), "e", "q")
        until(lambda: got or theirs.connection.drain_events(timeout=1))
        with pytest.raises(StillInUse, match=r"queue `q` .*0\.2 s, by .*nothing was changed"):
            apply(topology(QUORUM), broker, wait=0.2)
        assert there(broker) == before

        waiting: list[str] = []
        thread = threading.Thread(
            target=apply,
            args=(topology(PRIORITIES), broker),
            kwargs={"on_wait": lambda _queue, who: waiting.append(who)},
        )
        thread.start()
        until(lambda: waiting and "(consumer `theirs`)" in waiting[-1])  # it is listed late
        assert waiting[-1].startswith("127.0.0.1:")
        with session(broker) as opened_:
            plan = plan_for(topology(QUORUM), opened_)
        assert any("0 consumers of workers told to move, 1 other" in it for it in plan.notes)
        until(lambda: counted(broker, "q") == 1)
        theirs.basic_cancel("theirs")
        until(lambda: "not acknowledged" in waiting[-1])
        assert thread.is_alive()
        theirs.basic_reject(got[0].delivery_tag, requeue=True)
        thread.join(30)
        assert not thread.is_alive()
        assert look.basic_get("q", no_ack=True).body == "m"
    with session(broker) as opened_:
        assert not plan_for(topology(PRIORITIES), opened_).steps


def test_what_somebody_holds_who_consumes_no_more_is_waited_for(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a Celery worker that is being stopped, and ends its tasks."""
    monkeypatch.setattr(consumers, "STALE", 0.0)
    apply(topology(CLASSIC), broker)
    with channel(broker) as theirs, channel(broker) as look:
        got: list[Any] = []
        theirs.basic_consume("q", consumer_tag="theirs", callback=got.append)
        look.basic_publish(amqp.Message("m", delivery_mode=2), "e", "q")
        until(lambda: got or theirs.connection.drain_events(timeout=1))
        theirs.basic_cancel("theirs")
        until(lambda: counted(broker, "q") == 1)
        with pytest.raises(StillInUse, match="by 1 message that is not acknowledged"):
            apply(topology(QUORUM), broker, wait=0.2)
        theirs.basic_reject(got[0].delivery_tag, requeue=True)
        apply(topology(QUORUM), broker)
        until(lambda: (found := look.basic_get("q", no_ack=True)) and found.body == "m")


def counted(broker: Broker, queue: str) -> int:
    """The broker's count of what is not acknowledged, which lags behind."""
    path = f"/queues/{broker.vhost}?disable_stats=true&enable_queue_totals=true"
    rows = {it["name"]: it for it in broker.node.api("GET", path)}
    return int(rows[queue].get("messages_unacknowledged", 0))


def test_a_plan_has_the_step_in_its_file(broker: Broker) -> None:
    apply(topology(CLASSIC), broker)
    with session(broker) as opened_:
        plan = plan_for(topology(QUORUM), opened_)
    again = from_json("plan.json", to_json(plan).encode())
    found = [
        (it.change.queue.name, it.change.destination.name)
        for it in again.steps
        if isinstance(it.change, Release)
    ]
    assert found == [("q", f"{STAND_IN}q"), (f"{STAND_IN}q", "q")]
    assert [it for it in again.steps if isinstance(it.change, Release)] == [
        it for it in plan.steps if isinstance(it.change, Release)
    ]


class Puppet:
    """A worker as the broker sees it, with a message in its hands; it does as a test says."""

    def __init__(self, broker: Broker, on_order: Callable[[Puppet, Any], None]) -> None:
        self.connection = amqp.Connection(
            f"127.0.0.1:{broker.node.port}", virtual_host=broker.vhost
        )
        self.connection.connect()
        self.channel: Any = self.connection.channel()
        self.name = f"{WORKER}here.1.puppet"
        self.channel.queue_declare(self.name, exclusive=True)
        self.channel.basic_consume(self.name, no_ack=True, callback=self._take)
        self.channel.basic_consume("q", consumer_tag=f"{self.name}/0", callback=lambda _: None)
        self._on_order = on_order
        self.over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _take(self, message: Any) -> None:
        body = json.loads(message.body)
        if "ask" in body:
            self.answer(message, {"consumes": True, "holds": 1})
        else:
            self._on_order(self, message)

    def answer(self, message: Any, body: Any) -> None:
        told = amqp.Message(json.dumps(body), correlation_id=message.correlation_id)
        self.channel.basic_publish(told, routing_key=message.reply_to)

    def _run(self) -> None:
        while not self.over.is_set():
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=0.1)
        self.connection.collect()

    def end(self) -> None:
        self.over.set()
        self._thread.join(10)


def test_a_worker_that_dies_after_it_was_told_gives_its_message_back(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "STALE", 0.5)
    apply(topology(CLASSIC), broker)
    with channel(broker) as look:
        look.basic_publish(amqp.Message("m", delivery_mode=2), "e", "q")
        puppet = Puppet(broker, lambda it, _: it.over.set())
        until(lambda: look.queue_declare("q", passive=True).message_count == 0)
        apply(topology(PRIORITIES), broker)
        puppet.end()
        assert look.basic_get("q", no_ack=True).body == "m"


def test_a_worker_that_cannot_move_is_named(broker: Broker) -> None:
    apply(topology(CLASSIC), broker)
    puppet = Puppet(broker, lambda it, message: it.answer(message, {"error": "no way"}))
    try:
        with pytest.raises(
            StillInUse, match=r"worker here\.1\.puppet \(no way\).* steps were done"
        ):
            apply(topology(PRIORITIES), broker, wait=0.5)
    finally:
        puppet.end()
    apply(topology(PRIORITIES), broker)
