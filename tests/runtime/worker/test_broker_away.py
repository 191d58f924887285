"""Running tasks of a worker whose broker is away."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from waiting import Eventually

from routewright.runtime import SoftTimeLimitExceeded, Worker
from routewright.runtime.worker.limits import Limited, Limits


@pytest.mark.broker
def test_tasks_keep_their_limits_and_their_grace(
    memory: Any, fragile_broker: Any, eventually: Eventually
) -> None:
    node, memory.url = fragile_broker.node, fragile_broker.url
    memory.declare()
    app = memory.app(memory.route("slow", soft_time_limit=3.0), memory.route("early", early=True))
    go, began, happened = threading.Event(), list[str](), list[str]()

    @app.task(name="slow")
    def slow() -> None:
        began.append("slow")
        try:
            while True:
                time.sleep(0.01)
        except SoftTimeLimitExceeded:
            happened.append("limited")

    @app.task(name="early")
    def early() -> None:
        began.append("early")
        go.wait()
        time.sleep(0.3)
        happened.append("ended")

    worker = Worker(app, replace(app.router.group("group")), grace=20)

    def run() -> None:
        worker.run()
        happened.append("stopped")

    thread = threading.Thread(target=run)
    thread.start()
    for name in ("slow", "early"):
        app.send_task(name, ignore_result=True)
    eventually(lambda: len(began) == 2)
    node.kill()
    try:
        eventually(lambda: happened == ["limited"])
    finally:
        worker.stop()
        go.set()
        thread.join(30)
    eventually(lambda: len(happened) == 3)
    assert happened == ["limited", "ended", "stopped"]


def test_a_task_whose_soft_limit_comes_as_it_ends_has_its_value(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = list[Limited]()
    stop = Limits.stop

    def late(self: Limits, task: Limited) -> None:
        if not raised:
            raised.append(task)
            raise SoftTimeLimitExceeded
        stop(self, task)

    monkeypatch.setattr(Limits, "stop", late)
    app = memory.app(memory.route("t", soft_time_limit=60.0))
    app.task(name="t")(lambda: 7)
    with memory.worker(app):
        assert app.send_task("t").get(timeout=120) == 7
    assert raised
