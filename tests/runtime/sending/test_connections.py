"""Connections of one's own, and how long a send waits for any connection."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import pytest
from private_nodes import Cable
from waiting import Eventually

from routewright.runtime import (
    BrokerUnreachable,
    InvalidOption,
    LoginRefused,
    TaskSet,
    establish_connection,
)
from routewright.runtime.api import app as apps
from routewright.runtime.sending import confirming_link as confirming
from routewright.runtime.transport import pulse


def open_connections(broker: Any) -> set[str]:
    listed = broker.node.ctl("list_connections", "vhost", "pid", "--quiet")
    return {line for line in listed.splitlines() if line.startswith(f"{broker.vhost}\t")}


def frames_received(broker: Any) -> dict[str, int]:
    """How much the broker has received on each connection, in TCP packets."""
    listed = broker.node.ctl("list_connections", "vhost", "pid", "recv_cnt", "--quiet")
    rows = (line.split("\t") for line in listed.splitlines())
    return {pid: int(count) for vhost, pid, count in rows if vhost == broker.vhost}


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a broker that accepts connections and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://127.0.0.1:{server.getsockname()[1]}//"


@pytest.mark.broker
def test_all_that_is_sent_on_a_connection_takes_that_one(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    task = app.task(name="t")(lambda *_: None)
    with app.establish_connection() as connection:
        [before] = open_connections(broker)
        for number in range(50):
            task.apply_async([number], connection=connection, ignore_result=True)
        TaskSet([task.signature(ignore_result=True)] * 50).apply_async(connection=connection)
        app.send_task("t", connection=connection, ignore_result=True)
        assert open_connections(broker) == {before}
    assert rabbit.waiting() == 101


@pytest.mark.broker
def test_a_connection_by_hand_is_closed_by_hand(
    rabbit: Any, broker: Any, eventually: Eventually
) -> None:
    app = rabbit.app("t")
    connection = app.establish_connection(connect_timeout=3)
    try:
        app.send_task("t", connection=connection, ignore_result=True)
    finally:
        connection.close()
    connection.close()
    eventually(lambda: not open_connections(broker))
    with pytest.raises(InvalidOption, match="this connection is closed; establish another"):
        app.send_task("t", connection=connection, ignore_result=True)
    assert rabbit.waiting() == 1


@pytest.mark.broker
def test_a_connection_that_breaks_is_made_anew(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    with app.establish_connection() as connection:
        for _ in range(3):
            app.send_task("t", connection=connection, ignore_result=True)
            broker.node.close_connections(broker.vhost)
        app.send_task("t", connection=connection, ignore_result=True)
    assert rabbit.waiting() == 4


@pytest.mark.broker
def test_threads_take_turns_on_a_connection(rabbit: Any) -> None:
    app = rabbit.app("t")
    errors: list[BaseException] = []

    def send() -> None:
        try:
            for _ in range(100):
                app.send_task("t", connection=connection, ignore_result=True)
        except BaseException as error:  # noqa: BLE001  the test's own thread reports it
            errors.append(error)

    with app.establish_connection() as connection:
        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
    assert rabbit.waiting() == 400


def test_only_a_connection_of_the_same_app_will_do(memory: Any) -> None:
    app, other = memory.app("t"), memory.app("t")
    with (
        memory.connection() as kombus,
        other.establish_connection() as others,
    ):
        for connection in (kombus, others, "amqp://"):
            with pytest.raises(InvalidOption, match=r"what `establish_connection\(\)` of the same"):
                app.send_task("t", connection=connection)


def test_without_an_app_named_it_is_the_only_one(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "_apps", WeakSet())
    with pytest.raises(InvalidOption, match=r"no app, .* say `app\.establish_connection"):
        establish_connection()
    app = memory.app("t")
    with establish_connection(connect_timeout=3) as connection:
        app.send_task("t", connection=connection, ignore_result=True)
    assert memory.waiting() == 1
    kept = memory.app("t")
    with pytest.raises(InvalidOption, match="several apps"):
        establish_connection()
    assert kept


def test_an_app_that_is_forgotten_does_not_count(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apps, "_apps", WeakSet())
    memory.app("t")
    memory.close()  # the fixture's own hold on it
    gc.collect()
    kept = memory.app("t")
    establish_connection().close()
    assert kept


@pytest.mark.parametrize("seconds", [0, -1, True, "3", float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(memory: Any, seconds: Any) -> None:
    app = memory.app("t")
    for connect in (
        lambda: app.send_task("t", connect_timeout=seconds),
        lambda: app.establish_connection(connect_timeout=seconds),
        lambda: memory.app("t", connect_timeout=seconds),
        lambda: memory.app("t", retry_budget=seconds),
        lambda: memory.app("t", confirm_timeout=seconds),
    ):
        with pytest.raises(InvalidOption, match="is a number of seconds, more than 0"):
            connect()


@pytest.mark.parametrize("ignore_result", [True, False])
def test_the_timeout_of_a_call_bounds_all_its_attempts(
    memory: Any, silent: str, ignore_result: bool
) -> None:
    refusing = "amqp://127.0.0.1:1//"
    for url in (silent, refusing, f"{refusing};{silent}", f"{silent};{refusing}"):
        memory.url = url
        app = memory.app("t", connect_timeout=60)
        started = time.monotonic()
        with pytest.raises(BrokerUnreachable):
            app.send_task("t", connect_timeout=0.3, ignore_result=ignore_result)
        assert time.monotonic() - started < 15


def test_a_look_up_that_hangs_is_bounded_too(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: hanging.wait(30))
    memory.url = "amqp://rabbit.example//"
    app = memory.app("t", connect_timeout=60)
    started = time.monotonic()
    with pytest.raises(BrokerUnreachable, match=r"rabbit.example.*: no answer in 0\.3 s"):
        app.send_task("t", connect_timeout=0.3, ignore_result=True)
    assert time.monotonic() - started < 15
    hanging.set()


@pytest.mark.broker
def test_a_login_that_is_refused_is_said_at_once(rabbit: Any, broker: Any) -> None:
    rabbit.url = broker.node.url(broker.vhost, password="wrong")
    app = rabbit.app("t", connect_timeout=30)
    started = time.monotonic()
    with pytest.raises(LoginRefused):
        app.send_task("t", ignore_result=True)
    assert time.monotonic() - started < 25


@pytest.mark.broker
def test_a_connection_that_lay_idle_for_long_is_not_trusted(
    rabbit: Any, broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = rabbit.app("t")
    with app.establish_connection() as own:
        for options in ({}, {"connection": own}):
            app.send_task("t", ignore_result=True, **options)
            before = open_connections(broker)
            app.send_task("t", ignore_result=True, **options)
            assert open_connections(broker) == before
            with monkeypatch.context() as patch:
                patch.setattr(confirming, "MAX_IDLE", 0.0)
                app.send_task("t", ignore_result=True, **options)
            assert open_connections(broker) - before
    assert rabbit.waiting() == 6


@pytest.mark.broker
def test_idle_connections_are_kept_alive(
    rabbit: Any, broker: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "INTERVAL", 0.05)
    app = rabbit.app("t")
    with app.establish_connection():
        app.send_task("t", ignore_result=True)
        before = frames_received(broker)
        assert len(before) == 2

        def all_heard() -> bool:
            now = frames_received(broker)
            return all(now[pid] > count + 3 for pid, count in before.items())

        eventually(all_heard)


@pytest.mark.broker
def test_an_idle_connection_that_was_cut_is_not_sent_on(
    rabbit: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "INTERVAL", 0.05)
    with Cable(rabbit.url) as cable:
        rabbit.url = cable.url
        app = rabbit.app("t", confirm_timeout=0.2)
        app.send_task("t", ignore_result=True)
        cable.cut()
        eventually(lambda: cable.closed_by_client == 1)
        app.send_task("t", ignore_result=True)  # no ConfirmTimeout
    assert cable.made == 2


@pytest.mark.broker
def test_a_connection_that_is_being_kept_alive_is_closed_with_the_others(
    rabbit: Any, broker: Any, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "INTERVAL", 0.01)
    beating, closed = threading.Event(), threading.Event()
    keep_alive = confirming.ConfirmingLink.pulse

    def slowly(link: confirming.ConfirmingLink) -> None:
        beating.set()
        assert closed.wait(20)
        keep_alive(link)

    monkeypatch.setattr(confirming.ConfirmingLink, "pulse", slowly)
    app = rabbit.app("t")
    app.send_task("t", ignore_result=True)
    assert beating.wait(20)
    app.close()
    assert open_connections(broker)
    closed.set()
    eventually(lambda: not open_connections(broker))
    app.send_task("t", ignore_result=True)
    assert open_connections(broker)
    app.close()
    eventually(lambda: not open_connections(broker))


def test_a_send_waits_for_a_broker_that_comes_back_within_the_budget(
    fragile_broker: Any, memory: Any
) -> None:
    node, memory.url = fragile_broker.node, fragile_broker.url
    memory.declare()
    app = memory.app("t", connect_timeout=0.5, retry_budget=60)
    app.send_task("t", ignore_result=True)
    sent: list[Any] = []

    def send() -> None:
        with app.pipeline():
            sent.extend(app.send_task("t", ignore_result=True) for _ in range(3))
        sent.append(app.send_task("t", ignore_result=True))

    node.kill()
    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    node.start()
    for thread in threads:
        thread.join(60)
    assert len(sent) == 12
    assert memory.waiting() == 13
