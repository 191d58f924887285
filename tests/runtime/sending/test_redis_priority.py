"""On Redis the guide's scale is the transport's own: 0 is served first, in steps of three."""

from __future__ import annotations

from typing import Any

import pytest

from routewright.runtime import InvalidOption

pytestmark = pytest.mark.redis


def test_priority_0_is_served_first_and_an_unsaid_one_as_0(memory: Any, redis_server: Any) -> None:
    memory.url = redis_server.url
    app = memory.app("t")
    order: list[Any] = []
    app.task(name="t")(order.append)
    for priority in (9, 3, 0, 6, None):
        app.send_task("t", [priority], priority=priority, ignore_result=True)
    last = app.send_task("t", ["last"], priority=9)
    with memory.worker(app, concurrency=1, prefetch=1):
        last.get(timeout=120)
    assert sorted(order[:2], key=str) == [0, None]
    assert order[2:] == [3, 6, 9, "last"]


def test_beyond_the_scale_is_an_error_in_the_call(memory: Any, redis_server: Any) -> None:
    memory.url = redis_server.url
    with pytest.raises(InvalidOption, match="priority is an int from 0"):
        memory.app("t").send_task("t", priority=10)
