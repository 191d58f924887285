"""Results: each goes to whoever waits for it, and an exception arrives as what it was."""

from __future__ import annotations

import gc
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from routewright.runtime import NoResult, ResultTimeout, TaskFailed, TaskRevoked
from routewright.runtime.messages.exceptions import decode_exception, encode_exception
from routewright.runtime.messages.outcome import Outcome


class Refusal(Exception):
    """Takes two arguments, and gives its base another one."""

    def __init__(self, who: str, why: str) -> None:
        super().__init__(f"{who}: {why}")


class Coded(Exception):
    """Makes a text of its argument."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")


class Kept(Exception):
    """Keeps its argument, in an attribute too."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Unreadable(OSError):
    """Takes one argument, and gives its base two."""

    def __init__(self, path: str) -> None:
        super().__init__(2, "unreadable", path)


def test_a_value_comes_back(stage: Any) -> None:
    app = stage.app("t")
    app.task(name="t")(lambda x: {"got": x})
    with stage.worker(app):
        result = app.send_task("t", [[1, None, "ü"]])
        assert result.get(timeout=120) == {"got": [1, None, "ü"]}
    assert (result.ready(), result.successful(), result.failed()) == (True, True, False)
    assert (result.status, result.result) == ("SUCCESS", {"got": [1, None, "ü"]})


def test_an_exception_comes_back_as_what_it_was(stage: Any) -> None:
    app = stage.app("t")

    @app.task(name="t")
    def fail() -> None:
        raise KeyError("a", 3)

    with stage.worker(app):
        result = fail.delay()
        with pytest.raises(KeyError) as caught:
            result.get(timeout=120)
    assert caught.value.args == ("a", 3)
    assert "in fail" in caught.value.__notes__[0]
    assert result.traceback is not None
    assert "runner" not in result.traceback
    assert (result.status, result.failed(), result.successful()) == ("FAILURE", True, False)
    returned: Any = result.get(propagate=False)
    assert isinstance(returned, KeyError)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_an_exception_that_ends_a_process_ends_only_its_task(
    memory: Any, error: BaseException
) -> None:
    app = memory.app("exit", "t")

    @app.task(name="exit")
    def leave() -> None:
        raise error

    app.task(name="t")(lambda: "still here")
    with memory.worker(app, concurrency=1):
        result = leave.delay()
        with pytest.raises(TaskFailed, match=type(error).__name__):
            result.get(timeout=120)
        assert app.send_task("t").get(timeout=120) == "still here"


def test_a_value_that_cannot_be_sent_is_a_failure_that_says_so(memory: Any) -> None:
    app = memory.app("t")
    app.task(name="t")(object)
    with memory.worker(app), pytest.raises(Exception, match="cannot be sent as JSON"):
        app.send_task("t").get(timeout=120)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        FileNotFoundError(2, "no such file"),
        FileNotFoundError(2, "no such file", "f"),
        OSError(18, "two devices", "f", None, "g"),
        Refusal("a", "b"),
        Coded(5),
        Unreadable("f"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        KeyError(object),
    ],
)
def test_an_exception_survives_json(error: Exception) -> None:
    back = decode_exception(encode_exception(error))
    assert type(back) is type(error)
    if not isinstance(error, KeyError):
        assert str(back) == str(error)


@pytest.mark.parametrize(
    "data",
    [
        {"exc_type": "system", "exc_module": "os", "exc_message": ["exit 1"]},
        {"exc_type": "SystemExit", "exc_module": "builtins", "exc_message": [1]},
        {"exc_type": "Gone", "exc_module": "no.such.module", "exc_message": ["x"]},
        {"exc_type": "Gone", "exc_module": None, "exc_message": "x"},
        {"exc_type": 5, "exc_module": 5},
        {},
        None,
        "text",
    ],
)
def test_nothing_but_an_exception_type_is_ever_called(data: Any) -> None:
    assert type(decode_exception(data)) is TaskFailed


def test_an_exception_keeps_what_its_arguments_say() -> None:
    error: Any = decode_exception(encode_exception(FileNotFoundError(2, "no", "f")))
    assert (error.errno, error.filename) == (2, "f")
    error = decode_exception(encode_exception(Unreadable("f")))
    assert (error.errno, error.filename) == (2, "f")
    error = decode_exception(encode_exception(Kept(5)))
    assert error.code == 5
    assert decode_exception(encode_exception(Coded(5))).args == ("code 5",)


def test_a_result_imports_nothing_but_from_packages_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "used_package").mkdir()
    for name in ("used_package/__init__.py", "used_package/trouble.py", "strange_module.py"):
        (tmp_path / name).write_text("class Trouble(Exception): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    strange = {"exc_type": "Trouble", "exc_module": "strange_module", "exc_message": ["x"]}
    within = {**strange, "exc_module": "used_package.trouble"}
    assert type(decode_exception(strange)) is TaskFailed
    assert type(decode_exception(within)) is TaskFailed
    assert not {"strange_module", "used_package"}.intersection(sys.modules)
    import_module("used_package")
    assert type(decode_exception(within)).__name__ == "Trouble"


def test_an_id_that_is_sent_twice_settles_both_results(memory: Any) -> None:
    app = memory.app("t")
    app.task(name="t")(lambda: "done")
    first, second = (app.send_task("t", task_id="same") for _ in range(2))
    with memory.worker(app):
        assert [result.get(timeout=120) for result in (first, second)] == ["done"] * 2


def test_a_result_that_does_not_come_times_out(memory: Any) -> None:
    result = memory.app("t").send_task("t")
    with pytest.raises(ResultTimeout, match="no result of task `t`"):
        result.get(timeout=0.01)
    assert isinstance(ResultTimeout("x"), TimeoutError)
    assert (result.status, result.ready(), result.result) == ("PENDING", False, None)


def test_an_ignored_result_says_so_at_once(stage: Any) -> None:
    result = stage.app(stage.route("t", ignore_result=True)).send_task("t")
    with pytest.raises(NoResult, match="ignores its result"):
        result.get()


def test_closing_the_app_tells_whoever_waits(memory: Any, way: str) -> None:
    app = memory.app("t", results=way)
    result = app.send_task("t")
    closer = threading.Timer(0.05, app.close)
    closer.start()
    with pytest.raises(NoResult, match="the app was closed"):
        result.get(timeout=120)
    closer.join()


def test_an_expired_task_is_revoked_and_not_run(memory: Any) -> None:
    app = memory.app("t")
    ran: list[int] = []
    app.task(name="t")(lambda: ran.append(1))
    result = app.send_task("t", expires=-1)
    with memory.worker(app), pytest.raises(TaskRevoked, match="expired"):
        result.get(timeout=120)
    assert (result.status, ran) == ("REVOKED", [])


def test_a_final_word_is_final(memory: Any) -> None:
    result = memory.app("t").send_task("t")
    result.settle(Outcome(result.id, "STARTED"))
    assert (result.status, result.ready()) == ("STARTED", False)
    result.settle(Outcome(result.id, "SUCCESS", 1))
    result.settle(Outcome(result.id, "FAILURE"))
    assert result.get() == 1


def test_a_result_that_nobody_holds_is_not_kept(memory: Any) -> None:
    app = memory.app("t")
    app.send_task("t")
    gc.collect()
    assert len(app.results._expected) == 0


def test_what_a_task_sends_is_its_child(memory: Any) -> None:
    app = memory.app("parent", "t")
    app.task(name="parent")(lambda: app.send_task("t", ignore_result=True).id)
    seen: list[Any] = []

    @app.task(name="t")
    def child() -> None:
        from routewright.runtime.messages.message import running  # noqa: PLC0415

        seen.append(running.get())

    with memory.worker(app):
        result = app.send_task("parent")
        result.get(timeout=120)
        app.send_task("t").get(timeout=120)
    first = next(message for message in seen if message.parent_id is not None)
    assert (first.parent_id, first.root_id) == (result.id, result.id)


@pytest.mark.broker
def test_the_reply_queue_is_deleted_with_the_app(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    app.send_task("t")
    assert len(broker.queues()) == 2
    app.close()
    assert [queue["name"] for queue in broker.queues()] == [rabbit.queue]


@pytest.mark.broker
def test_a_result_finds_its_way_after_a_lost_connection(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    app.task(name="t")(lambda: "done")
    result = app.send_task("t")
    broker.node.close_connections(broker.vhost)
    with rabbit.worker(app):
        assert result.get(timeout=120) == "done"
