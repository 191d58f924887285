"""A broker in trouble: every call ends, none is told a lie, and nothing confirmed is lost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from waiting import Eventually

from routewright.runtime import (
    BrokerBlocked,
    BrokerUnreachable,
    Nacked,
    Refused,
    SendError,
    Unroutable,
)

pytestmark = pytest.mark.broker


def test_a_broker_that_stops_and_starts_again_loses_no_task_and_no_result(
    fragile_broker: Any, memory: Any, eventually: Eventually
) -> None:
    node, memory.url = fragile_broker.node, fragile_broker.url
    memory.declare()
    app = memory.app("t", "blocked", confirm_timeout=0.5, retry_budget=0.5)
    app.task(name="t")(lambda x: x)
    pending = app.send_task("t", [1])
    results = [pending]

    def sent() -> bool:
        try:
            results.append(app.send_task("t", [2]))
        except SendError:
            return False
        return True

    node.stop()
    with pytest.raises(BrokerUnreachable):
        app.send_task("t", [3])
    with memory.worker(app):
        node.start()
        eventually(sent)
        assert [result.get(timeout=40) for result in results] == [1, 2]

    # An alarm: the broker reads no publisher, and tells it so.
    app.send_task("t", [4], ignore_result=True)
    node.alarm()
    with pytest.raises(BrokerBlocked, match="memory or disk alarm"):
        app.send_task("t", [4], ignore_result=True)
    node.end_alarm()
    eventually(sent)


def test_a_full_queue_that_rejects_is_said_in_the_call(rabbit: Any) -> None:
    app = rabbit.app("t")
    rabbit.limit(1)
    app.send_task("t", ignore_result=True)
    for _ in range(2):
        with pytest.raises(Nacked, match="a full queue"):
            app.send_task("t", ignore_result=True)


def test_a_user_who_may_not_publish_is_refused_in_the_call(rabbit: Any, broker: Any) -> None:
    broker.node.ctl("set_permissions", "-p", broker.vhost, "guest", ".*", "^$", ".*")
    app = rabbit.app("t")
    with pytest.raises(Refused, match="ACCESS_REFUSED"):
        app.send_task("t", ignore_result=True)


def test_a_user_who_may_have_no_reply_queue_is_told_the_way_out(rabbit: Any, broker: Any) -> None:
    broker.node.ctl("set_permissions", "-p", broker.vhost, "guest", "^$", ".*", ".*")
    app = rabbit.app("t")
    with pytest.raises(Refused, match=r"read on .*routewright\.reply\..*ignore_result"):
        app.send_task("t")
    app.send_task("t", ignore_result=True)
    broker.node.ctl(
        "set_permissions", "-p", broker.vhost, "guest", r"^routewright\.reply\.", ".*", ".*"
    )
    rabbit.app("t").send_task("t")


def test_connections_that_keep_breaking_lose_nothing_that_was_confirmed(
    rabbit: Any, broker: Any, eventually: Eventually
) -> None:
    app = rabbit.app("t", rabbit.route("lost", routing_key="nowhere"))
    app.task(name="t")(lambda thread, number: [thread, number])
    results: list[Any] = []
    surprises: list[BaseException] = []

    def send(thread: int) -> None:
        for number in range(60):
            try:
                results.append(app.send_task("t", [thread, number]))
                app.send_task("lost")
            except (Unroutable, BrokerUnreachable):
                pass
            except BaseException as error:  # noqa: BLE001  the test's own thread reports it
                surprises.append(error)

    with rabbit.worker(app):
        threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for count in (20, 60, 100):
            eventually(lambda count=count: len(results) > count)
            broker.node.close_connections(broker.vhost, "trouble")
        for thread in threads:
            thread.join()
        assert surprises == []
        values = Counter(tuple(result.get(timeout=120)) for result in results)
    assert len(values) == len(results)
    assert len(results) > 200
