"""Threads, processes and a broker that is killed: all that is called sent is there, by its id."""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import Any

import pytest
from sender_crash import crash

pytestmark = pytest.mark.broker

EACH = 2000


def send(app: Any, name: str) -> None:
    """Half of the tasks one by one, half in a pipeline."""
    for number in range(EACH // 2):
        app.send_task("t", task_id=f"{name}-{number}", ignore_result=True)
    with app.pipeline():
        for number in range(EACH // 2, EACH):
            app.send_task("t", task_id=f"{name}-{number}", ignore_result=True)


def expected(*names: str) -> Counter[str]:
    return Counter(f"{name}-{number}" for name in names for number in range(EACH))


def test_eight_threads_lose_nothing_and_double_nothing(rabbit: Any) -> None:
    app = rabbit.app("t", pool_limit=6)
    errors: list[BaseException] = []

    def run(name: str) -> None:
        try:
            send(app, name)
        except BaseException as error:  # noqa: BLE001  the test's own thread reports it
            errors.append(error)

    names = [f"thread{number}" for number in range(8)]
    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert rabbit.sent_ids() == expected(*names)


def test_four_processes_forked_after_the_first_send_lose_and_double_nothing(rabbit: Any) -> None:
    app = rabbit.app("t")
    app.send_task("t", task_id="first", ignore_result=True)
    names = [f"process{number}" for number in range(4)]
    children = []
    for name in names:
        child = os.fork()
        if not child:
            code = 1
            try:
                send(app, name)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    send(app, "parent")
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert rabbit.sent_ids() == expected("parent", *names) + Counter(["first"])


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_a_broker_that_is_killed_has_all_that_was_called_sent(
    fragile_broker: Any, queue_type: str
) -> None:
    found = crash(fragile_broker.node, queue_type, 2000, kills=1)
    assert (found.missing, found.strange) == (set(), set())
    assert found.confirmed == 2000
