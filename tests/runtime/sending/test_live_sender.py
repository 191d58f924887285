"""What happens on the broker under a live sender: the guilty call raises, and no other is harmed.

Everything goes over one connection, on which an error would show in the next call.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest
from waiting import Eventually

from routewright.runtime import (
    BrokerBlocked,
    ConfirmTimeout,
    NotAllSent,
    SendError,
    TaskSet,
    Unroutable,
)

pytestmark = pytest.mark.broker


@contextmanager
def channel_of(stage: Any) -> Iterator[Any]:
    with stage.connection() as connection:
        yield connection.channel()


def send(app: Any, task_id: str = "x") -> None:
    app.send_task("t", task_id=task_id, ignore_result=True)


def test_a_queue_that_is_deleted_raises_at_once_until_it_is_back(rabbit: Any) -> None:
    app = rabbit.app("t", pool_limit=1)
    send(app)
    with channel_of(rabbit) as channel:
        channel.queue_delete(rabbit.queue)
    for _ in range(2):
        with pytest.raises(Unroutable, match="312 NO_ROUTE"):
            send(app)
    rabbit.declare()
    send(app, "again")
    assert rabbit.sent_ids() == {"again": 1}


def test_a_binding_that_is_removed_raises_at_once_until_it_is_back(rabbit: Any) -> None:
    app = rabbit.app("t", pool_limit=1)
    send(app, "before")
    with channel_of(rabbit) as channel:
        channel.queue_unbind(rabbit.queue, "tasks", "work.#")
        for _ in range(2):
            with pytest.raises(Unroutable, match="312 NO_ROUTE"):
                send(app)
        channel.queue_bind(rabbit.queue, "tasks", "work.#")
    send(app, "after")
    assert rabbit.sent_ids() == {"before": 1, "after": 1}


def test_an_exchange_that_is_deleted_raises_at_once_until_it_is_back(rabbit: Any) -> None:
    app = rabbit.app("t", pool_limit=1)
    send(app, "before")
    with channel_of(rabbit) as channel:
        channel.exchange_delete("tasks")
    for _ in range(2):
        with pytest.raises(Unroutable, match="no exchange 'tasks'"):
            send(app)
    rabbit.declare()
    send(app, "after")
    assert rabbit.sent_ids() == {"before": 1, "after": 1}


def test_connections_that_an_operator_closes_under_senders_harm_no_send(
    rabbit: Any, broker: Any, eventually: Eventually
) -> None:
    app = rabbit.app("t")
    done = threading.Event()
    errors: list[SendError] = []
    sent: list[str] = []

    def run(name: str) -> None:
        number = 0
        while not done.is_set():
            number += 1
            try:
                send(app, f"{name}-{number}")
            except SendError as error:
                errors.append(error)
            else:
                sent.append(f"{name}-{number}")

    threads = [threading.Thread(target=run, args=(f"thread{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for count in (50, 100, 150):
        eventually(lambda count=count: len(sent) > count or errors)
        broker.node.close_connections(broker.vhost)
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    arrived = rabbit.sent_ids()
    assert set(arrived) == set(sent)
    assert len(sent) > 100


def test_an_alarm_in_the_middle_of_a_pipeline_is_waited_out(
    fragile_broker: Any, memory: Any, eventually: Eventually
) -> None:
    node, memory.url = fragile_broker.node, fragile_broker.url
    memory.declare()
    app = memory.app("t", confirm_timeout=30)
    with app.pipeline() as pipeline:
        for _ in range(10):
            send(app)
        node.alarm()
        blocked = threading.Timer(1, node.end_alarm)
        blocked.start()
        for _ in range(3000):
            send(app)
    blocked.join()
    assert pipeline.sent == 3010
    eventually(lambda: memory.waiting() == 3010)


def test_large_messages_to_a_broker_that_does_not_read_are_bounded(
    fragile_broker: Any, memory: Any
) -> None:
    node, memory.url = fragile_broker.node, fragile_broker.url
    memory.declare()
    app = memory.app("t", confirm_timeout=0.5)
    send(app)
    node.alarm()
    for _ in range(2):  # more than all buffers on the way hold
        started = time.monotonic()
        with pytest.raises(BrokerBlocked, match="memory or disk alarm"):
            app.send_task("t", ["x" * 20_000_000], ignore_result=True)
        assert time.monotonic() - started < 9


def test_a_pipeline_to_a_silent_broker_fails_what_was_unconfirmed_and_goes_on(
    rabbit: Any, broker: Any
) -> None:
    with Gate(broker.node.port) as gate:
        rabbit.url = broker.url.replace(f":{broker.node.port}/", f":{gate.port}/")
        app = rabbit.app("t", confirm_timeout=0.5)
        send(app)
        tasks = [app.task(name="t")(lambda *_: None).signature(ignore_result=True)] * 1500
        gate.shut.set()
        opening = threading.Timer(1.0, gate.shut.clear)
        opening.start()
        with pytest.raises(NotAllSent) as caught:
            TaskSet(tasks).apply_async()
        opening.join()
    rabbit.url = broker.url
    failed = caught.value.failed
    assert {type(each.error) for each in failed} == {ConfirmTimeout}
    assert 0 < len(failed) <= 1000
    confirmed = {it.id for it in caught.value.results} - {each.id for each in failed}
    assert confirmed <= set(rabbit.sent_ids())


def test_a_broker_that_falls_silent_after_the_login_is_bounded(rabbit: Any, broker: Any) -> None:
    """It accepts, answers the login, and then passes nothing on."""
    with Gate(broker.node.port) as gate:
        rabbit.url = broker.url.replace(f":{broker.node.port}/", f":{gate.port}/")
        app = rabbit.app("t", confirm_timeout=0.5)
        send(app, "before")
        gate.shut.set()
        started = time.monotonic()
        with pytest.raises(ConfirmTimeout, match=r"did not confirm in 0\.5 s"):
            send(app, "lost")
        assert time.monotonic() - started < 9
        gate.shut.clear()
        send(app, "after")
    rabbit.url = broker.url
    assert {"before", "after"} <= set(rabbit.sent_ids())


class Gate:
    """Passes bytes on between clients and a broker, but for when it is shut: then they wait."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.shut = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.shut.is_set():
                client.close()
                continue
            broker = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, broker]
            for source, sink in ((client, broker), (broker, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if self.shut.is_set():
                    return  # what was on its way is lost, as behind a dead firewall
                sink.sendall(data)
        except OSError:
            pass
