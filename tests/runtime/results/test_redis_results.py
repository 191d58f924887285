"""Results in Redis: Celery's form, any process may ask, and a restart of Redis loses no wait."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import amqp
import pytest
import redis
from celery.backends.base import compress_payload
from private_nodes import Redis, until

from routewright.runtime import (
    InvalidOption,
    MalformedMessage,
    NoResult,
    ResultTimeout,
    StoreUnreachable,
    TaskRevoked,
    TaskSet,
    TimeLimitExceeded,
)
from routewright.runtime.messages.outcome import Outcome
from routewright.runtime.results import redis_results, redis_store
from routewright.runtime.router.retry_policy import RetryPolicy

ID = "5e4c8a4e-0000-4000-8000-000000000001"


@pytest.fixture
def results(redis_server: Redis) -> str:
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def client(redis_server: Redis) -> Iterator[Any]:
    with redis.Redis(port=redis_server.port) as found:
        yield found


@pytest.fixture
def store(results: str) -> Iterator[redis_results.RedisResults]:
    found = redis_results.RedisResults(results)
    yield found
    found.close()


def _reply(status: str, result: Any = None, task_id: str = ID) -> Any:
    return Outcome(task_id, status, result).encode()


def test_a_value_comes_back_and_is_stored_in_the_form_of_celery(
    stage: Any, results: str, client: Any
) -> None:
    app = stage.app("t", results=results)
    app.task(name="t")(lambda x: {"got": x})
    with stage.worker(app):
        result = app.send_task("t", [[1, None, "ü"]])
        assert result.get(timeout=120) == {"got": [1, None, "ü"]}
    meta = json.loads(client.get(f"celery-task-meta-{result.id}"))
    assert meta.pop("date_done")
    assert meta == {
        "task_id": result.id,
        "status": "SUCCESS",
        "result": {"got": [1, None, "ü"]},
        "traceback": None,
        "children": [],
    }
    assert 86_300 < client.ttl(f"celery-task-meta-{result.id}") <= 86_400
    assert result.date_done is not None


@pytest.mark.broker
def test_no_reply_queue_is_opened(rabbit: Any, broker: Any, results: str) -> None:
    app = rabbit.app("t", results=results)
    app.task(name="t")(lambda: "done")
    result = app.send_task("t")
    assert [queue["name"] for queue in broker.queues()] == [rabbit.queue]
    with rabbit.worker(app):
        assert result.get(timeout=120) == "done"


def test_the_environment_says_where_results_are(
    memory: Any, results: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUTEWRIGHT_RESULTS", results)
    app = memory.app("t")
    app.task(name="t")(lambda: "done")
    with memory.worker(app):
        result = app.send_task("t")
        assert result.get(timeout=120) == "done"
    assert client.exists(f"celery-task-meta-{result.id}")
    assert memory.app("t", results="rpc://").send_task("t").status == "PENDING"


@pytest.mark.parametrize("error", [KeyError("a", 3), SystemExit(3)])
def test_an_exception_is_a_failure_with_its_traceback(
    memory: Any, results: str, error: BaseException
) -> None:
    app = memory.app("t", results=results)

    @app.task(name="t")
    def fail() -> None:
        raise error

    with memory.worker(app):
        result = fail.delay()
        with pytest.raises(Exception, match="3"):
            result.get(timeout=120)
    again = memory.app("t", results=results).AsyncResult(result.id)
    assert (again.status, again.failed(), again.ready()) == ("FAILURE", True, True)
    assert "in fail" in again.traceback
    assert type(again.info) is type(again.result)


@pytest.mark.parametrize("way", ["rpc://", "redis"])
def test_a_value_that_cannot_be_sent_is_a_failure_that_says_so(
    memory: Any, results: str, way: str
) -> None:
    app = memory.app("t", results=results if way == "redis" else way)
    app.task(name="t")(object)
    with memory.worker(app), pytest.raises(Exception, match="cannot be sent as JSON"):
        app.send_task("t").get(timeout=120)


def test_what_is_not_run_is_told_too(memory: Any, results: str) -> None:
    app = memory.app("t", "unknown", results=results)
    app.task(name="t")(lambda: None)
    with memory.worker(app):
        with pytest.raises(TaskRevoked):
            app.send_task("t", expires=-1).get(timeout=120)
        with pytest.raises(Exception, match="no task `unknown`"):
            app.send_task("unknown").get(timeout=120)


def test_a_task_that_is_tried_again_says_so_until_it_is_over(memory: Any, results: str) -> None:
    policy = RetryPolicy(max=1, backoff=0.3, jitter=False)
    app = memory.app(memory.route("t", retry=policy), results=results)
    tries: list[int] = []

    @app.task(name="t")
    def fail_first() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise KeyError("the first time")
        return len(tries)

    with memory.worker(app):
        result = fail_first.delay()
        until(lambda: result.status == "RETRY")
        assert isinstance(result.info, KeyError)
        assert (result.ready(), result.failed(), result.result) == (False, False, None)
        assert result.get(timeout=120) == 2
    assert (result.status, result.info) == ("SUCCESS", 2)


def test_a_task_that_runs_for_too_long_is_a_failure(memory: Any, results: str) -> None:
    app = memory.app(memory.route("t", time_limit=0.2), results=results)
    go = threading.Event()
    app.task(name="t")(lambda: go.wait(20))
    with memory.worker(app):
        with pytest.raises(TimeLimitExceeded):
            app.send_task("t").get(timeout=120)
        go.set()


@pytest.mark.broker
def test_what_cannot_be_read_has_a_result_though_nobody_names_a_queue(
    rabbit: Any, results: str, client: Any
) -> None:
    app = rabbit.app("t", results=results)
    app.task(name="t")(lambda: None)
    kept: dict[str, Any] = {"task": "t", "id": ID}
    with rabbit.worker(app), rabbit.connection() as connection:
        for headers in ({**kept, "ignore_result": True, "id": "ignored"}, kept):
            message = amqp.Message(
                "{", content_type="application/json", application_headers=headers
            )
            connection.channel().basic_publish(message, routing_key=rabbit.queue)
        with pytest.raises(MalformedMessage, match="the body is no application/json"):
            app.AsyncResult(ID).get(timeout=120)
    assert len(client.keys()) == 1


def test_an_ignored_result_is_not_stored(memory: Any, results: str, client: Any) -> None:
    app = memory.app("t", "unknown", results=results)
    app.task(name="t")(lambda: None)
    with memory.worker(app, concurrency=1):
        for task in ("unknown", "t"):
            with pytest.raises(NoResult, match="ignores its result"):
                app.send_task(task, ignore_result=True).get()
        app.send_task("t").get(timeout=120)
    assert len(client.keys()) == 1


def test_another_process_looks_a_result_up_by_its_id(memory: Any, results: str) -> None:
    app = memory.app("t", results=results)
    app.task(name="t")(lambda: "done")
    with memory.worker(app):
        result = app.send_task("t")
        result.get(timeout=120)
    program = f"""
from routewright.runtime import App, Router
router = Router(
    topology="other", source="", target="rabbitmq-3.10", vhost=None, routes=[], groups=[]
)
with App(router, "memory://", results={results!r}) as app:
    print(app.AsyncResult({result.id!r}).get(timeout=120), app.AsyncResult("nobody's").state)
"""
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert other.stdout.split() == ["done", "PENDING"]


def test_over_rpc_a_look_up_says_that_results_are_their_senders(memory: Any) -> None:
    app = memory.app("t")
    sent = app.send_task("t")
    assert app.AsyncResult(sent.id) is sent
    with pytest.raises(NoResult, match="go to their sender alone"):
        app.AsyncResult("another's")


def test_a_stored_success_is_never_overwritten(store: Any, client: Any) -> None:
    for reply in (
        _reply("PROGRESS", {"done": 1, "total": 2}),
        _reply("FAILURE"),
        _reply("PROGRESS", {"done": 2, "total": 2}),
    ):
        assert store.keep(reply)
    assert store.look_up(ID).status == "FAILURE"
    store.keep(_reply("SUCCESS", 1))
    stored = client.get(f"celery-task-meta-{ID}")
    for status in ("FAILURE", "PROGRESS", "SUCCESS"):
        store.keep(_reply(status, 2))
    assert client.get(f"celery-task-meta-{ID}") == stored
    assert store.look_up(ID).get() == 1


def test_of_eight_that_store_at_the_same_time_the_success_stays(store: Any) -> None:
    replies = [_reply("SUCCESS", 1), *(_reply("FAILURE") for _ in range(7))]
    for _ in range(20):
        threads = [threading.Thread(target=store.keep, args=(each,)) for each in replies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        result = store.look_up(ID)
        assert result.get() == 1
        result.forget()


@pytest.mark.parametrize("method", ["gzip", "bzip2", "lzma"])
def test_what_celery_compressed_is_read(store: Any, client: Any, method: str) -> None:
    payload = compress_payload(_reply("SUCCESS", "x" * 1000).body, method)
    client.set(f"celery-task-meta-{ID}", payload)
    assert store.look_up(ID).get() == "x" * 1000
    store.keep(_reply("FAILURE"))
    assert client.get(f"celery-task-meta-{ID}") == payload


@pytest.mark.parametrize(
    "stored", [b"", b"no json", b"{}", b"[1]", b"\0celery-compressed\0gzip\0x", b"\xff"]
)
def test_a_value_that_is_no_result_harms_nobody(
    store: Any, client: Any, stored: bytes, eventually: Callable[..., None]
) -> None:
    client.set(f"celery-task-meta-{ID}", stored)
    result = store.look_up(ID)
    assert result.status == "PENDING"
    with pytest.raises(ResultTimeout):
        result.get(timeout=0.05)
    store.keep(_reply("SUCCESS", 1))
    eventually(result.ready)
    assert result.get() == 1


def test_a_state_of_ones_own_is_seen(store: Any, client: Any) -> None:
    meta = {"status": "BAKING", "result": {"oven": 3}, "task_id": ID}
    client.set(f"celery-task-meta-{ID}", json.dumps(meta))
    result = store.look_up(ID)
    assert (result.status, result.info, result.result) == ("BAKING", {"oven": 3}, None)
    assert not result.ready()


def test_forgetting_deletes_what_is_stored(store: Any, client: Any) -> None:
    store.keep(_reply("SUCCESS", 1))
    result = store.look_up(ID)
    assert result.get() == 1
    result.forget()
    assert not client.keys()
    assert result.status == "PENDING"
    with pytest.raises(NoResult, match="forgotten"):
        result.get(timeout=5)


def test_a_result_that_does_not_come_times_out_in_time(store: Any) -> None:
    results = [store.look_up(str(uuid4())) for _ in range(3)]
    for result in results:
        with pytest.raises(ResultTimeout):
            result.get(timeout=0.02)
    with pytest.raises(ResultTimeout):
        results[0].get(timeout=0)


def test_all_that_wait_for_one_id_are_told_whenever_they_come(store: Any) -> None:
    ids = [str(uuid4()) for _ in range(200)]
    start = threading.Barrier(9)

    def wait() -> list[int]:
        start.wait()
        return [store.look_up(each).get(timeout=120) for each in ids]

    with ThreadPoolExecutor(8) as pool:
        waits = [pool.submit(wait) for _ in range(8)]
        start.wait()
        for number, each in enumerate(ids):
            store.keep(_reply("SUCCESS", number, each))
        assert [each.result() for each in waits] == [list(range(200))] * 8
    assert len(store._expected) == 0


def test_what_nobody_waits_for_any_more_is_unsubscribed(store: Any, client: Any) -> None:
    result = store.look_up(ID)
    with pytest.raises(ResultTimeout):
        result.get(timeout=0.01)
    until(lambda: client.pubsub_numsub(f"celery-task-meta-{ID}")[0][1] == 1)
    del result
    until(lambda: client.pubsub_numsub(f"celery-task-meta-{ID}")[0][1] == 0)
    other = store.look_up(ID)  # the subscription is taken up again
    store.keep(_reply("SUCCESS", 1))
    assert other.get(timeout=120) == 1


def test_redis_may_be_killed_and_restarted_while_a_client_waits(
    memory: Any, private_redis: Callable[..., Redis], caplog: pytest.LogCaptureFixture
) -> None:
    server = private_redis()
    app = memory.app("t", results=server.url)
    go = threading.Event()

    @app.task(name="t")
    def wait(number: int) -> int:
        go.wait(20)
        return number

    with memory.worker(app), caplog.at_level(logging.INFO, "routewright.results"):
        set_of_three = TaskSet(wait.s(number) for number in range(3)).apply_async()
        values: list[Any] = []
        waiter = threading.Thread(target=lambda: values.extend(set_of_three.join(timeout=60)))
        waiter.start()
        until(lambda: app.results._reader and len(app.results._reader._subscribed) == 3)
        server.kill()
        go.set()
        until(lambda: "cannot store the result" in caplog.text)
        until(lambda: "lost the connection for results" in caplog.text)
        server.start()
        waiter.join(60)
    assert values == [0, 1, 2]
    assert "is there again" in caplog.text


def test_redis_may_be_killed_while_nobody_waits(
    memory: Any, private_redis: Callable[..., Redis]
) -> None:
    server = private_redis()
    app = memory.app("t", results=server.url)
    app.task(name="t")(lambda: "done")
    with memory.worker(app):
        for _ in range(2):
            result = app.send_task("t")
            assert result.get(timeout=60) == "done"
            until(lambda: not app.results._reader._subscribed)
            server.kill()
            server.start()


def test_a_result_that_cannot_be_stored_is_logged_and_the_worker_goes_on(
    memory: Any,
    private_redis: Callable[..., Redis],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(redis_results, "BUDGET", 0.3)
    server = private_redis()
    app = memory.app("t", results=server.url)
    app.task(name="t")(lambda: "done")
    with memory.worker(app):
        assert app.send_task("t").get(timeout=120) == "done"
        server.kill()
        ids = [app.send_task("t").id for _ in range(5)]
        for task_id in ids:
            until(lambda lost=task_id: f"the result of {lost} is lost" in caplog.text)
        server.start()
        assert app.send_task("t").get(timeout=120) == "done"
    assert caplog.text.count("tried again") == 1


@pytest.mark.broker
def test_a_message_is_acknowledged_only_when_its_result_is_stored(
    rabbit: Any,
    broker: Any,
    private_redis: Callable[..., Redis],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = private_redis()
    app = rabbit.app("t", results=server.url)
    app.task(name="t")(lambda: "done")

    def counts() -> set[int]:
        queues = broker.queues("name", "messages")
        # Beside the worker's own, by which it is told things.
        return {it["messages"] for it in queues if not it["name"].startswith("routewright.")}

    server.kill()
    result = app.send_task("t")
    with rabbit.worker(app):
        until(lambda: "cannot store the result" in caplog.text)
        assert counts() == {1}
        server.start()
        assert result.get(timeout=60) == "done"
        until(lambda: counts() == {0})


def test_a_refusal_that_does_not_pass_is_not_tried_again(
    memory: Any, results: str, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = memory.app("t", results=results)
    app.task(name="t")(lambda: "done")
    client.lpush(f"celery-task-meta-{ID}", "of another type")
    with memory.worker(app):
        app.send_task("t", task_id=ID)
        until(lambda: f"the result of {ID} is lost" in caplog.text)
        assert app.send_task("t").get(timeout=120) == "done"
    assert "tried again" not in caplog.text


def test_a_redis_that_was_never_there_is_said_at_once(memory: Any) -> None:
    app = memory.app("t", results="redis://:s3cret@127.0.0.1:1/3")
    result = app.send_task("t")
    for ask in (result.get, result.ready, result.forget):
        with pytest.raises(StoreUnreachable, match=r"redis://127\.0\.0\.1:1/3") as caught:
            ask()
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(app) + repr(result) + app.results.name


def test_a_wrong_password_is_said_and_never_shown(
    memory: Any, private_redis: Callable[..., Redis]
) -> None:
    port = private_redis().port
    app = memory.app("t", results=f"redis://me:s3cret@127.0.0.1:{port}/0")
    with pytest.raises(StoreUnreachable) as caught:
        app.send_task("t").get(timeout=120)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://me:s3cret@localhost",
        "s3cret",
        "redis://:s3c/ret@localhost:1/0",
        "redis://me:s3cret",
        "redis://localhost:1?nosuchoption=s3cret&db=s3cret",
        "rediss://:s3cret@localhost:s3cret",
    ],
)
def test_a_url_that_cannot_be_read_is_never_shown(memory: Any, url: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        memory.app("t", results=url)
    assert "s3c" not in str(caught.value)


def test_without_redis_py_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(InvalidOption, match="need the package `redis`"):
        redis_store.RedisStore("redis://localhost")


def test_rpc_does_without_redis_py() -> None:
    program = """
import sys
from routewright.runtime import App, Router
router = Router(
    topology="other", source="", target="rabbitmq-3.10", vhost=None, routes=[], groups=[]
)
App(router, "amqp://localhost")
assert "redis" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_forked_child_may_ask_too(results: str, tmp_path: Path) -> None:
    script = tmp_path / "forks.py"
    script.write_text(f"""
import os
from routewright.runtime import App, Route, Router, ResultTimeout
from routewright.runtime.messages.outcome import Outcome
from routewright.runtime.router.retry_policy import RetryPolicy

router = Router(
    topology="forks", source="", target="rabbitmq-3.10", vhost=None,
    routes=[Route("t", "tasks", "k", ("forks",))], groups=[],
)
with App(router, "memory://", results={results!r}) as app:
    result = app.send_task("t")
    try:
        result.get(timeout=0.05)
    except ResultTimeout:
        pass
    child = os.fork()
    if not child:
        app.results.keep(Outcome(result.id, "SUCCESS", "from the child").encode())
        print(result.get(timeout=120), flush=True)
        os._exit(0)
    print(result.get(timeout=120), flush=True)
    assert os.waitpid(child, 0)[1] == 0
""")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == ["from the child"] * 2, done.stderr
