"""Waiting for results: what it costs, and that it is right whoever comes first."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from private_nodes import Redis, until

from routewright.runtime import AsyncResult, NoResult, ResultTimeout, TaskSet, TaskSetResult
from routewright.runtime.messages.outcome import Outcome

MANY, THREADS = 5_000, 8


@pytest.fixture(params=["rpc", "redis"])
def way(request: pytest.FixtureRequest) -> str:
    if request.param == "rpc":
        return "rpc://"
    server: Redis = request.getfixturevalue("redis_server")
    server.flush()
    return server.url


class Home:
    """Where results come from, as far as a wait knows."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def listen_for(self, results: Any) -> None: ...

    def refresh(self, results: Any) -> None: ...

    def forget(self, result: Any) -> None: ...


def _results(count: int) -> list[AsyncResult[Any]]:
    home = Home()
    return [AsyncResult(str(number), "t", home) for number in range(count)]


def _settle(result: AsyncResult[Any]) -> None:
    result.settle(Outcome(result.id, "SUCCESS", int(result.id)))


def test_a_result_that_nobody_waits_for_has_nothing_to_wait_with() -> None:
    [result] = _results(1)
    assert set(vars(result)) == {"id", "task", "home"}
    _settle(result)
    assert result.get() == 0
    assert result._waiting == ()


def test_a_wait_that_meets_its_result_always_ends() -> None:
    results = _results(3_000)
    start = threading.Barrier(THREADS + 1)

    def wait() -> int:
        start.wait()
        return sum(result.get(timeout=60) for result in results)

    with ThreadPoolExecutor(THREADS) as pool:
        waits = [pool.submit(wait) for _ in range(THREADS)]
        start.wait()
        for result in results:
            _settle(result)
        assert {each.result() for each in waits} == {sum(range(3_000))}
    assert not any(result._waiting for result in results)


def test_two_threads_that_settle_tell_each_waiter_once() -> None:
    results = _results(2_000)
    told: Counter[str] = Counter()
    start = threading.Barrier(4)

    def settle() -> None:
        start.wait()
        for result in results:
            _settle(result)

    def watch() -> None:
        start.wait()
        for result in results:
            result.add_done_callback(lambda it: told.update([it.id]))

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(do) for do in (settle, settle, watch, watch)]:
            each.result()
    assert set(told.values()) == {2}


def test_a_wait_that_times_out_leaves_nothing_behind() -> None:
    [result] = _results(1)
    for _ in range(3):
        with pytest.raises(ResultTimeout):
            result.get(timeout=0)
    assert result._waiting == ()
    with pytest.raises(ResultTimeout):
        result.get(timeout=-1)


def test_a_result_that_is_lost_ends_every_wait() -> None:
    [result] = _results(1)
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(result.get, timeout=60) for _ in range(2)]
        until(lambda: len(result._waiting) == 2)
        result.lose("of a test")
        for each in waits:
            with pytest.raises(NoResult, match="of a test"):
                each.result()


def test_a_get_never_holds_up_another(memory: Any, way: str) -> None:
    app = memory.app("slow", "t", results=way)
    go = threading.Event()
    app.task(name="slow")(lambda: go.wait(60))
    app.task(name="t")(lambda: "done")
    with memory.worker(app), ThreadPoolExecutor(4) as pool:
        slow = app.send_task("slow")
        waits = [pool.submit(slow.get, timeout=60) for _ in range(4)]
        for _ in range(3):
            assert app.send_task("t").get(timeout=120) == "done"
        go.set()
        assert {each.result() for each in waits} == {True}


def test_results_are_told_as_they_complete(memory: Any, way: str) -> None:
    app = memory.app("t", results=way)
    turns = [threading.Event() for _ in range(3)]

    @app.task(name="t")
    def wait(number: int) -> int:
        turns[number].wait(60)
        if number == 1:
            raise ValueError(number)
        return number

    with memory.worker(app, concurrency=3):
        results = TaskSet(wait.s(number) for number in range(3)).apply_async()
        completed = results.as_completed(timeout=60)
        for number in (2, 0, 1):
            assert (results.waiting(), results.ready()) == (True, False)
            turns[number].set()
            assert next(completed) is results[number]
        assert not list(completed)
        assert (results.waiting(), results.ready()) == (False, True)
        assert (results.failed(), results.successful()) == (True, False)
        assert results.completed_count() == 2
        with pytest.raises(ValueError, match="1"):
            results.join(timeout=120)
        assert [type(each) for each in results.join(propagate=False)] == [int, ValueError, int]


def test_what_does_not_complete_times_out_and_leaves_nothing_behind(memory: Any, way: str) -> None:
    app = memory.app("t", results=way)
    results = TaskSet(app.task(name="t")(lambda: None).s() for _ in range(3)).apply_async()
    with pytest.raises(ResultTimeout, match="3 of 3 results"):
        next(results.as_completed(timeout=0.01))
    with pytest.raises(ResultTimeout):
        results.join(timeout=0.01)
    assert not any(result._waiting for result in results)
    assert list(TaskSetResult((), ()).as_completed()) == TaskSetResult((), ()).join() == []
    with memory.worker(app):
        assert results.join(timeout=120) == [None] * 3


def test_what_was_not_sent_completes_at_once() -> None:
    lost = AsyncResult.without("1", "t", "it was not sent")
    assert list(TaskSetResult([lost], [None]).as_completed(timeout=20)) == [lost]
    with pytest.raises(NoResult):
        TaskSetResult([lost], [None]).join()


@pytest.fixture
def sent(request: pytest.FixtureRequest, way: str) -> Iterator[TaskSetResult]:
    """Results of thousands of tasks, which run meanwhile."""
    stage: Any = request.getfixturevalue("rabbit")
    app = stage.app("t", results=way)
    double = app.task(name="t")(lambda number: 2 * number)
    results = TaskSet(double.s(number) for number in range(MANY)).apply_async()
    with stage.worker(app, prefetch=100):
        yield results


@pytest.mark.broker
def test_thousands_are_joined_by_eight_threads(sent: TaskSetResult) -> None:
    def join(part: int) -> list[int]:
        return [result.get(timeout=120) for result in sent.results[part::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        parts = list(pool.map(join, range(THREADS)))
    assert parts == [[2 * number for number in range(MANY)[part::THREADS]] for part in range(8)]
    assert sent.completed_count() == MANY


@pytest.mark.broker
def test_thousands_are_joined_in_order_and_as_they_complete(sent: TaskSetResult) -> None:
    joins: list[Callable[[], list[int]]] = [
        lambda: sent.join(timeout=120),
        lambda: sorted(each.get() for each in sent.as_completed(timeout=120)),
    ]
    with ThreadPoolExecutor(2) as pool:
        for values in pool.map(lambda join: join(), joins):
            assert values == list(range(0, 2 * MANY, 2))
    assert sent.successful()


@pytest.mark.redis
def test_thousands_are_joined_though_redis_is_killed_time_and_again(
    memory: Any, private_redis: Callable[..., Redis]
) -> None:
    server = private_redis("--appendonly", "yes", "--appendfsync", "always")  # or it forgets
    app = memory.app("t", results=server.url)
    double = app.task(name="t")(lambda number: 2 * number)
    sent = TaskSet(double.s(number) for number in range(MANY)).apply_async()
    with memory.worker(app), ThreadPoolExecutor(THREADS) as pool:
        joins = [pool.submit(sent.join, timeout=120) for _ in range(THREADS)]
        for least in (300, 600, 1_000):
            until(lambda least=least: sum(each.is_over() for each in sent) >= least)
            server.kill()
            server.start()
        for join in joins:
            assert join.result() == list(range(0, 2 * MANY, 2))
    assert len(app.results._expected) == 0
