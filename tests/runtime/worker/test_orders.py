"""A worker is told to leave a queue for another one, and no task of it is lost or runs twice."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import amqp
import pytest
from private_nodes import Broker, Cable, until
from waiting import Eventually

from routewright.runtime import App
from routewright.runtime.messages.orders import ANSWERS, STAND_IN, WORKER

pytestmark = pytest.mark.broker


class Teller:
    """Whoever replaces queues: it tells workers things, and has their answers."""

    def __init__(self, broker: Broker, connection: amqp.Connection) -> None:
        self._broker, self._connection = broker, connection
        self.channel: Any = connection.channel()
        self._queue = f"{ANSWERS}{uuid4()}"
        self.channel.queue_declare(self._queue, exclusive=True)
        self.answers: list[Any] = []
        self.channel.basic_consume(
            self._queue, no_ack=True, callback=lambda it: self.answers.append(json.loads(it.body))
        )

    def stand_in(self, queue: str) -> str:
        """Declares the stand-in of a queue."""
        name = f"{STAND_IN}{queue}"
        self.channel.queue_declare(name, auto_delete=False)
        return name

    def worker(self) -> str:
        """The queue of the one worker."""
        [name] = until(self.workers)
        return name

    def workers(self) -> set[str]:
        """The queues of all workers, as the broker has them at this moment."""
        path = f"/queues/{quote(self._broker.vhost, safe='')}?columns=name"
        names = {it["name"] for it in self._broker.node.api("GET", path)}
        return {it for it in names if it.startswith(WORKER)}

    def consumers(self, queue: str) -> int:
        return int(self.channel.queue_declare(queue, passive=True).consumer_count)

    def waiting(self, queue: str) -> int:
        return int(self.channel.queue_declare(queue, passive=True).message_count)

    def say(self, body: object, worker: str, reply_to: str | None = None) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        message = amqp.Message(text, reply_to=reply_to or self._queue, correlation_id="1")
        self.channel.basic_publish(message, routing_key=worker)

    def ask(self, body: object, worker: str) -> Any:
        """Say something, and wait for the answer."""
        self.say(body, worker)
        return self.answer()

    def answer(self) -> Any:
        if not self.answers:
            self._connection.drain_events(timeout=20)
        return self.answers.pop(0)

    def put(self, queue: str, number: int, **headers: Any) -> None:
        told = {"task": "t", "id": f"{number}", **headers}
        body = json.dumps([[number], {}, {}])
        message = amqp.Message(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            application_headers=told,
        )
        self.channel.basic_publish(message, routing_key=queue)


@pytest.fixture
def teller(rabbit: Any, broker: Broker) -> Iterator[Teller]:  # noqa: ARG001  it declares the queue
    with connected(broker) as connection:
        yield Teller(broker, connection)


def held_task(app: App) -> tuple[threading.Event, threading.Event]:
    """Makes a task that says that it has begun, and waits until it may go on."""
    begun, go = threading.Event(), threading.Event()
    app.task(name="t")(lambda _number: begun.set() or go.wait(20))
    return begun, go


@contextmanager
def connected(broker: Broker) -> Iterator[amqp.Connection]:
    with amqp.Connection(f"127.0.0.1:{broker.node.port}", virtual_host=broker.vhost) as connection:
        yield connection


def test_what_runs_ends_before_it_answers_and_what_waits_goes_back(
    rabbit: Any, teller: Teller, eventually: Eventually
) -> None:
    app, other, stand_in = rabbit.app("t"), f"{rabbit.queue}-2", teller.stand_in(rabbit.queue)
    rabbit.declare(other)
    runs: Counter[int] = Counter()
    go = threading.Event()

    @app.task(name="t")
    def task(number: int) -> None:
        runs[number] += 1
        if number == 0:
            go.wait(20)

    queues = (rabbit.queue, other)
    with rabbit.worker(app, queues=queues, concurrency=2, prefetch=9):
        worker = teller.worker()
        teller.put(rabbit.queue, 0)
        eventually(lambda: runs[0])
        teller.say({"leave": rabbit.queue, "for": stand_in}, worker)
        eventually(lambda: teller.consumers(stand_in) == 1)
        eventually(lambda: teller.consumers(rabbit.queue) == 0)
        teller.put(rabbit.queue, 1)  # nobody is there for it
        teller.put(stand_in, 2)
        teller.put(other, 3)
        eventually(lambda: runs[2] and runs[3])
        held = {"consumes": False, "holds": 1}
        assert teller.ask({"ask": rabbit.queue}, worker) == held  # and no answer to the first yet
        go.set()
        assert teller.answer() == {"left": rabbit.queue}
        order = {"leave": rabbit.queue, "for": stand_in}
        assert teller.ask(order, worker) == {"left": rabbit.queue}
        back = {"leave": stand_in, "for": rabbit.queue}
        assert teller.ask(back, worker) == {"left": stand_in}
        eventually(lambda: runs[1])
        assert teller.consumers(stand_in) == 0
    assert runs == {0: 1, 1: 1, 2: 1, 3: 1}
    assert all(teller.waiting(queue) == 0 for queue in (*queues, stand_in))


def test_what_has_not_begun_is_handed_back_in_its_order(
    rabbit: Any, teller: Teller, eventually: Eventually
) -> None:
    app, stand_in = rabbit.app("t"), teller.stand_in(rabbit.queue)
    begun, go = held_task(app)
    with rabbit.worker(app, concurrency=1, prefetch=9):
        worker = teller.worker()
        for number in range(8):
            teller.put(rabbit.queue, number)
        soon = (datetime.now(UTC) + timedelta(seconds=4)).isoformat()  # it is held until then
        teller.put(rabbit.queue, 8, eta=soon)
        assert begun.wait(20)
        eventually(lambda: teller.ask({"ask": rabbit.queue}, worker)["holds"] == 9)
        teller.say({"leave": rabbit.queue, "for": stand_in}, worker)
        eventually(lambda: teller.waiting(rabbit.queue) == 8)
        numbers = [json.loads(get(teller, rabbit.queue).body)[0][0] for _ in range(7)]
        go.set()
        assert teller.answer() == {"left": rabbit.queue}
    assert numbers == list(range(1, 8))


def get(teller: Teller, queue: str) -> Any:
    return teller.channel.basic_get(queue, no_ack=True)


def test_a_message_of_the_stand_in_is_parked_as_one_of_the_queue(
    rabbit: Any, teller: Teller, eventually: Eventually
) -> None:
    app, stand_in = rabbit.app("t"), f"{STAND_IN}{rabbit.queue}"
    app.task(name="t")(lambda _number: None)
    teller.channel.queue_declare(stand_in, auto_delete=False)
    teller.channel.queue_declare("stage.parked", durable=True, auto_delete=False)
    with rabbit.worker(app):
        teller.ask({"leave": rabbit.queue, "for": stand_in}, teller.worker())
        teller.put(stand_in, 1, task="nobody's")
        eventually(lambda: teller.waiting("stage.parked") == 1)
    parked = get(teller, "stage.parked").headers
    assert parked["routewright-parked-from"] == rabbit.queue


def test_nothing_changes_where_the_other_queue_is_not_there_or_nothing_is_said(
    rabbit: Any, teller: Teller, caplog: pytest.LogCaptureFixture
) -> None:
    app = rabbit.app("t")
    app.task(name="t")(lambda _number: None)
    with rabbit.worker(app):
        worker = teller.worker()
        for wrong in (
            "",
            "[",
            "[]",
            '{"leave": 1}',
            '{"leave": "a", "for": "a"}',
            "\x1b",
            "[" * 9999,
        ):
            teller.say(wrong, worker)
        stand_in = f"{STAND_IN}{rabbit.queue}"
        answer = teller.ask({"leave": rabbit.queue, "for": stand_in}, worker)
        assert f"no queue '{stand_in}'" in answer["error"]
        assert teller.consumers(rabbit.queue) == 1
        assert app.send_task("t", [1]).get(timeout=120) is None
        order = {"leave": "theirs", "for": f"{STAND_IN}theirs"}
        assert teller.ask(order, worker) == {"left": "theirs"}
    assert caplog.text.count("ignored what the worker was told") == 7
    assert "\x1b" not in caplog.text


def test_it_comes_back_when_the_stand_in_is_gone_and_finds_it_at_the_start(
    rabbit: Any, teller: Teller, eventually: Eventually
) -> None:
    app, stand_in = rabbit.app("t"), f"{STAND_IN}{rabbit.queue}"
    runs: Counter[int] = Counter()
    app.task(name="t")(lambda number: runs.update([number]))
    teller.channel.queue_declare(stand_in, auto_delete=False)
    teller.channel.queue_delete(rabbit.queue)
    with rabbit.worker(app):
        teller.put(stand_in, 1)
        eventually(lambda: runs[1])
        rabbit.declare()
        teller.put(rabbit.queue, 2)
        teller.channel.queue_delete(stand_in)
        eventually(lambda: runs[2], 3)  # and not only when it is next looked for
    assert teller.waiting(rabbit.queue) == 0
    assert runs == {1: 1, 2: 1}


def test_after_a_lost_connection_it_consumes_what_it_was_told_to(
    rabbit: Any, teller: Teller, eventually: Eventually
) -> None:
    runs: Counter[int] = Counter()
    stand_in = teller.stand_in(rabbit.queue)
    with Cable(rabbit.url) as cable:
        rabbit.url = cable.url
        app = rabbit.app("t")
        app.task(name="t")(lambda number: runs.update([number]))
        with rabbit.worker(app):
            first = teller.worker()
            order = {"leave": rabbit.queue, "for": stand_in}
            assert teller.ask(order, first) == {"left": rabbit.queue}
            teller.channel.queue_delete(rabbit.queue)
            cable.drop()
            eventually(lambda: first not in teller.workers())
            teller.put(stand_in, 1)
            eventually(lambda: runs[1])
            assert teller.worker() != first
            rabbit.declare()
            order = {"leave": stand_in, "for": rabbit.queue}
            assert teller.ask(order, teller.worker()) == {"left": stand_in}
            teller.put(rabbit.queue, 2)
            eventually(lambda: runs[2])
    assert runs == {1: 1, 2: 1}


def test_a_worker_is_not_ordered_away_to_a_queue_that_is_no_stand_in(
    rabbit: Any, teller: Teller, caplog: pytest.LogCaptureFixture
) -> None:
    app, own, theirs = rabbit.app("t"), f"{rabbit.queue}-2", "theirs"
    rabbit.declare(own)
    for name in (theirs, f"{STAND_IN}{theirs}", f"{STAND_IN}{rabbit.queue}"):
        teller.channel.queue_declare(name, auto_delete=False)
    runs: Counter[int] = Counter()
    app.task(name="t")(lambda number: runs.update([number]))
    with rabbit.worker(app, queues=(rabbit.queue, own)):
        worker = teller.worker()
        others = (theirs, f"{STAND_IN}{theirs}", own, worker, "nowhere")
        for number, other in enumerate(others):
            answer = teller.ask({"leave": rabbit.queue, "for": other}, worker)
            assert "stands in for the other" in answer["error"]
            assert teller.consumers(rabbit.queue) == 1
            teller.put(rabbit.queue, number)
            until(lambda number=number: runs[number])  # type: ignore[misc]
        assert teller.consumers(theirs) == 0
        assert teller.consumers(f"{STAND_IN}{theirs}") == 0
        assert teller.consumers(own) == 1
        order = {"leave": rabbit.queue, "for": f"{STAND_IN}{rabbit.queue}"}
        assert teller.ask(order, worker) == {"left": rabbit.queue}
        order = {"leave": f"{STAND_IN}{rabbit.queue}", "for": theirs}
        assert "stands in for the other" in teller.ask(order, worker)["error"]
        assert teller.consumers(f"{STAND_IN}{rabbit.queue}") == 1
    assert caplog.text.count("refused an order to leave queue") == 6


def test_a_worker_leaves_no_stand_in_for_the_stand_in_of_that(rabbit: Any, teller: Teller) -> None:
    app, stand_in = rabbit.app("t"), f"{STAND_IN}{rabbit.queue}"
    for name in (stand_in, f"{STAND_IN}{stand_in}"):
        teller.channel.queue_declare(name, auto_delete=False)
    app.task(name="t")(lambda _number: None)
    with rabbit.worker(app):
        worker = teller.worker()
        order = {"leave": rabbit.queue, "for": stand_in}
        assert teller.ask(order, worker) == {"left": rabbit.queue}
        order = {"leave": stand_in, "for": f"{STAND_IN}{stand_in}"}
        assert "not one of the worker's group" in teller.ask(order, worker)["error"]
        assert teller.consumers(stand_in) == 1


def test_a_worker_cannot_be_kept_from_its_queue_by_orders_that_follow_fast(
    rabbit: Any, teller: Teller
) -> None:
    app, stand_in = rabbit.app("t"), teller.stand_in(rabbit.queue)
    app.task(name="t")(lambda number: number)
    away = {"leave": rabbit.queue, "for": stand_in}
    back = {"leave": stand_in, "for": rabbit.queue}
    with rabbit.worker(app):
        worker, obeyed = teller.worker(), 0
        while "left" in (answer := teller.ask(away, worker)):
            obeyed += 1
            assert teller.ask(back, worker) == {"left": stand_in}
            assert obeyed < 50
        assert "was left for too long or too often; try again in" in answer["error"]
        assert obeyed >= 10  # a plan that is killed and begun again leaves it as often
        assert teller.consumers(rabbit.queue) == 1
        assert app.send_task("t", [1]).get(timeout=120) == 1


def test_who_waits_for_a_queue_to_be_left_is_told_that_it_is_consumed_again(
    rabbit: Any, teller: Teller, eventually: Eventually
) -> None:
    app, stand_in = rabbit.app("t"), teller.stand_in(rabbit.queue)
    begun, go = held_task(app)
    with rabbit.worker(app):
        worker = teller.worker()
        teller.put(rabbit.queue, 0)
        assert begun.wait(20)
        teller.say({"leave": rabbit.queue, "for": stand_in}, worker)
        eventually(lambda: teller.consumers(rabbit.queue) == 0)
        teller.say({"leave": stand_in, "for": rabbit.queue}, worker)
        answers = [teller.answer(), teller.answer()]
        go.set()
    assert {"left": stand_in} in answers
    assert {"error": f"queue `{rabbit.queue}` is consumed again"} in answers


def test_a_worker_answers_into_no_queue_but_one_for_answers(
    rabbit: Any, teller: Teller, caplog: pytest.LogCaptureFixture
) -> None:
    app, stand_in = rabbit.app("t"), f"{STAND_IN}{rabbit.queue}"
    for name in ("theirs", stand_in):
        teller.channel.queue_declare(name, auto_delete=False)
    app.task(name="t")(lambda number: number)
    with rabbit.worker(app):
        worker = teller.worker()
        for body in ({"ask": rabbit.queue}, {"leave": rabbit.queue, "for": stand_in}):
            teller.say(body, worker, reply_to="theirs")
        found = teller.ask({"ask": rabbit.queue}, worker)
        assert found == {"consumes": True, "holds": 0}  # it was not obeyed either
        assert teller.waiting("theirs") == 0
    assert caplog.text.count("`reply_to` does not begin with `routewright.answers.`") == 2


def test_no_order_costs_the_connection_of_a_worker(rabbit: Any, teller: Teller) -> None:
    """The name of what would stand in is longer than a queue's name can be."""
    app, longest = rabbit.app("t"), "q" * 240
    rabbit.declare(longest)
    app.task(name="t")(lambda number: number)
    with rabbit.worker(app, queues=(rabbit.queue, longest)):
        worker = teller.worker()
        answer = teller.ask({"leave": longest, "for": f"{STAND_IN}{longest}"}, worker)
        assert "leaves no room" in answer["error"]
        assert teller.worker() == worker


def test_without_permission_for_its_own_queue_it_works_and_says_so_once(
    rabbit: Any, broker: Broker, teller: Teller, caplog: pytest.LogCaptureFixture
) -> None:
    broker.node.api("PUT", "/users/limited", {"password": "limited", "tags": ""})
    path = f"/permissions/{quote(broker.vhost, safe='')}/limited"
    reply, theirs = r"routewright\.reply\..*", "work.*|tasks|amq.default"
    rights = {"configure": reply, "write": theirs, "read": f"{theirs}|{reply}"}
    broker.node.api("PUT", path, rights)
    rabbit.url = broker.node.url(broker.vhost, "limited", "limited")
    app = rabbit.app("t")
    app.task(name="t")(lambda number: number)
    with rabbit.worker(app):
        assert app.send_task("t", [1]).get(timeout=120) == 1
    assert not teller.workers()
    assert caplog.text.count("grant configure and read on `routewright.worker.*`") == 1


def test_what_it_needs_is_configure_and_read_on_its_own_queue(
    rabbit: Any, broker: Broker, teller: Teller
) -> None:
    broker.node.api("PUT", "/users/limited", {"password": "limited", "tags": ""})
    path = f"/permissions/{quote(broker.vhost, safe='')}/limited"
    own, stand_in = r"routewright\.worker\..*", f"{STAND_IN}{rabbit.queue}"
    read = rf"work.*|{own}|routewright\.standin\.queue\..*"
    rights = {"configure": own, "write": "amq.default", "read": read}
    broker.node.api("PUT", path, rights)
    rabbit.url = broker.node.url(broker.vhost, "limited", "limited")
    app = rabbit.app("t")
    app.task(name="t")(lambda _number: None)
    teller.channel.queue_declare(stand_in, auto_delete=False)
    with rabbit.worker(app):
        order = {"leave": rabbit.queue, "for": stand_in}
        assert teller.ask(order, teller.worker()) == {"left": rabbit.queue}
        assert teller.consumers(stand_in) == 1
