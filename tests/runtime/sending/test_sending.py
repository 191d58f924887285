"""Sending: a call that returns has queued its task, and one that raises says why not."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from waiting import Eventually

from routewright.runtime import (
    App,
    BrokerUnreachable,
    DuplicateTask,
    EncodeError,
    InvalidOption,
    NoConsumers,
    Router,
    Task,
    UnknownTask,
    Unroutable,
)
from routewright.runtime.api.any_task import bind_arguments


def drain(stage: Any) -> list[Any]:
    """Every message of the queue."""
    with stage.connection() as connection:
        channel = connection.channel()
        messages = []
        while (raw := channel.basic_get(stage.queue, no_ack=True)) is not None:
            messages.append(channel.message_to_python(raw))
        return messages


def test_a_class_is_sent_by_its_class(memory: Any) -> None:
    the_app = memory.app("t.Add")

    class Add(Task):
        app = the_app
        name = "t.Add"

        def run(self, x: int, y: int) -> int:
            return x + y

    Add.delay(2, 2)
    Add.apply_async(args=[10], kwargs={"y": 10}, task_id="mine")
    first, second = drain(memory)
    assert first.payload[0] == [2, 2]
    assert second.payload[:2] == [[10], {"y": 10}]
    assert second.headers["id"] == second.properties["correlation_id"] == "mine"


def test_a_function_stays_a_function(memory: Any) -> None:
    app = memory.app("t.add")

    @app.task(name="t.add")
    def add(x: int, y: int) -> int:
        """Add."""
        return x + y

    assert add(1, 2) == 3
    assert (add.__name__, add.__doc__) == ("add", "Add.")


def test_a_bound_function_gets_its_task(memory: Any) -> None:
    app = memory.app("t.me")

    @app.task(name="t.me", bind=True)
    def me(self: Any, x: int) -> tuple[str, int]:
        return self.name, x

    assert me(1) == ("t.me", 1)
    me.delay(2)
    assert drain(memory)[0].payload[0] == [2]


def test_a_base_class_is_no_task(memory: Any) -> None:
    the_app = memory.app()

    class WithoutApp(Task):
        def run(self) -> None: ...

    class WithoutRun(Task):
        app = the_app

    class Abstract(WithoutRun):
        abstract = True

        def run(self) -> None: ...

    class Real(Abstract): ...

    assert [name.rpartition(".")[2] for name in the_app.tasks] == ["Real"]


def test_two_tasks_of_one_name_are_refused(memory: Any) -> None:
    app = memory.app()

    @app.task(name="t")
    def one() -> None: ...

    with pytest.raises(DuplicateTask, match="two tasks are named `t`"):

        @app.task(name="t")
        def other() -> None: ...


def test_a_reloaded_module_may_define_its_task_again(memory: Any) -> None:
    app = memory.app()

    def define() -> None:
        @app.task(name="t")
        def one() -> None: ...

    define()
    define()


def test_the_call_wins_over_the_task_and_the_task_over_the_route(memory: Any) -> None:
    route = memory.route("t", priority=9, headers={"a": 1, "b": 1, "c": 1}, serializer="yaml")
    the_app = memory.app(route)

    class T(Task):
        app = the_app
        name = "t"
        priority = 5
        headers = {"b": 2, "c": 2}  # noqa: RUF012

        def run(self) -> None: ...

    T.apply_async(headers={"c": 3}, priority=0)
    T.apply_async(serializer="JSON")
    called, declared = drain(memory)
    assert [called.headers[name] for name in "abc"] == [1, 2, 3]
    assert (called.content_type, declared.content_type) == (
        "application/x-yaml",
        "application/json",
    )
    # A virtual transport's scale is the guide's own: 0 is served first.
    assert (called.properties["priority"], declared.properties["priority"]) == (0, 5)


@pytest.mark.broker
def test_priority_is_turned_to_the_scale_of_the_broker(rabbit: Any) -> None:
    app = rabbit.app("t")
    for priority in (0, 9, None):
        app.send_task("t", priority=priority, ignore_result=True)
    sent = [message.properties.get("priority") for message in drain(rabbit)]
    assert sent == [9, 0, None]


@pytest.mark.parametrize(
    "options",
    [
        {"priority": 10},
        {"priority": -1},
        {"priority": True},
        {"priority": 1.0},
        {"expires": "soon"},
        {"expires": True},
        {"expires": float("nan")},
        {"expires": 1e300},
        {"serializer": "pickle"},
        {"serializer": "Pickle"},
        {"serializer": 5},
    ],
)
def test_an_impossible_option_is_refused_in_the_call(memory: Any, options: Any) -> None:
    app = memory.app("t")
    with pytest.raises(InvalidOption):
        app.send_task("t", **options)
    assert drain(memory) == []


def test_arguments_that_the_task_does_not_take_are_refused_in_the_call(memory: Any) -> None:
    app = memory.app("t")

    @app.task(name="t")
    def one(x: int) -> None: ...

    with pytest.raises(TypeError, match="one: missing a required argument: 'x'"):
        one.apply_async()
    with pytest.raises(InvalidOption, match="args is a list or a tuple"):
        one.apply_async("abc")


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        lambda x: x,
        lambda x, /, y=1: (x, y),
        lambda x, *rest: (x, rest),
        lambda *, k: k,
        lambda x, *, k=1: (x, k),
        lambda x=1, **more: (x, more),
        divmod,
        type,
    ],
)
@pytest.mark.parametrize("count", range(4))
def test_positional_arguments_are_taken_as_the_function_takes_them(
    function: Any, count: int
) -> None:
    args = [2] * count
    try:
        inspect.signature(function).bind(*args)
    except TypeError:
        with pytest.raises(TypeError):
            bind_arguments(function, args, {})
    except ValueError:  # it tells no signature, so that nothing can be checked
        bind_arguments(function, args, {})
    else:
        bind_arguments(function, args, {})


def test_a_task_the_topology_does_not_declare_is_refused_with_a_hint(memory: Any) -> None:
    with pytest.raises(UnknownTask, match=r"did you mean `media\.crop`"):
        memory.app("media.crop").send_task("media.crpo")


def test_expiry_goes_out_as_utc_and_as_milliseconds(memory: Any) -> None:
    app = memory.app("t")
    later = datetime.now(UTC) + timedelta(hours=1)
    for expires in (3600, later, later.astimezone().replace(tzinfo=None)):
        app.send_task("t", expires=expires)
    for message in drain(memory):
        at = datetime.fromisoformat(message.headers["expires"])
        assert abs(at - later) < timedelta(seconds=30)
        assert at.utcoffset() == timedelta(0)
        assert 3_500_000 < int(message.properties["expiration"]) <= 3_600_000


def test_the_user_may_not_overwrite_the_protocol(memory: Any) -> None:
    with pytest.raises(EncodeError, match="header `id` is the protocol's own"):
        memory.app("t").send_task("t", headers={"id": "x"})


@pytest.mark.broker
def test_an_unroutable_task_raises_in_its_own_call_and_harms_no_other(rabbit: Any) -> None:
    lost = rabbit.route("lost", routing_key="nowhere", queues=())
    typo = rabbit.route("typo", exchange="taskz")
    app = rabbit.app("t", lost, typo, pool_limit=1)
    for _ in range(2):
        with pytest.raises(Unroutable, match=r"task `lost` \(exchange `tasks`, .*NO_ROUTE"):
            app.send_task("lost", ignore_result=True)
        app.send_task("t", ignore_result=True)
        with pytest.raises(Unroutable, match="no exchange 'taskz'"):
            app.send_task("typo", ignore_result=True)
        app.send_task("t", ignore_result=True)
    app.send_task("lost", ignore_result=True, mandatory=False)
    assert len(drain(rabbit)) == 4


@pytest.mark.broker
@pytest.mark.parametrize(
    "headers",
    [{"x": object()}, {"x": 2**80}, {"k" * 300: 1}, {5: 1}, {"x": "y" * 200_000}],
    ids=["object", "int", "name", "key", "size"],
)
def test_a_header_that_amqp_cannot_carry_is_refused_unharmed(rabbit: Any, headers: Any) -> None:
    app = rabbit.app("t", pool_limit=1)
    app.send_task("t", ignore_result=True)
    with pytest.raises(EncodeError):
        app.send_task("t", headers=headers, ignore_result=True)
    app.send_task("t", ignore_result=True)
    assert len(drain(rabbit)) == 2


@pytest.mark.broker
def test_an_immediate_task_wants_a_worker_that_waits(rabbit: Any, eventually: Eventually) -> None:
    app = rabbit.app(rabbit.route("t", immediate=True), rabbit.route("gone", queues=("gone",)))
    app.task(name="t")(lambda: "done")
    with pytest.raises(NoConsumers, match="no worker consumes"):
        app.send_task("t")
    with pytest.raises(NoConsumers, match="no queue 'gone'"):
        app.send_task("gone", immediate=True)
    assert drain(rabbit) == []

    def sent() -> bool:
        try:
            return bool(app.send_task("t").get(timeout=10) == "done")
        except NoConsumers:
            return False

    with rabbit.worker(app):
        eventually(sent)


@pytest.mark.broker
def test_a_connection_that_was_closed_while_idle_is_replaced(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    app.send_task("t", ignore_result=True)
    broker.node.close_connections(broker.vhost)
    app.send_task("t", ignore_result=True)
    assert len(drain(rabbit)) == 2


def test_a_broker_that_is_not_there_is_said_without_its_password(memory: Any) -> None:
    memory.url = "amqp://guest:secret@127.0.0.1:1//"
    with pytest.raises(BrokerUnreachable) as caught:
        memory.app("t").send_task("t")
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_broker_that_accepts_and_then_says_nothing_is_given_up(memory: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        memory.url = f"amqp://127.0.0.1:{silent.getsockname()[1]}//"
        app = memory.app("t", connect_timeout=0.2)
        started = time.monotonic()
        with pytest.raises(BrokerUnreachable):
            app.send_task("t", ignore_result=True)
        assert time.monotonic() - started < 3


def test_another_virtual_host_than_the_topologys_is_refused() -> None:
    router = Router[str](topology="t", source="", target="", vhost="/media", routes=[], groups=[])
    with pytest.raises(InvalidOption, match=r"for virtual host `/media`, but .* names `other`"):
        App(router, "amqp://guest:secret@localhost/other")
    App(router, "amqp://guest:secret@localhost//media")
    App(router, "memory://")


def test_a_url_that_cannot_be_read_does_not_give_its_password_away(memory: Any) -> None:
    memory.url = "amqp://guest:sec:ret@host:port//"
    with pytest.raises(InvalidOption) as caught:
        memory.app()
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "guest:hunter2@localhost:5672/r6",
        "amqp://localhost//;guest:hunter2@localhost:5672/r6",
        "amqp://guest:hun/hunter2@localhost:5672/r6",
        "amqp://guest:hun;hunter2@localhost:5672/r6",
        "amqp://guest:hun?hunter2@localhost:5672/r6",
    ],
)
def test_a_url_that_would_be_read_otherwise_than_meant_is_refused(memory: Any, url: str) -> None:
    memory.url = url
    with pytest.raises(InvalidOption) as caught:
        memory.app()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["compression", "link", "nonsense"])
def test_an_option_that_does_not_exist_is_refused_with_those_that_do(
    memory: Any, name: str
) -> None:
    the_app = memory.app("t", "c")
    wrong: Any = {name: 3}
    message = f"has no option `{name}`; its options are .*`task_id`, .*`priority`, "

    class C(Task):
        app = the_app
        name = "c"

        def run(self) -> None: ...

    function = the_app.task(name="t")(lambda: None)
    for send in (
        C.apply_async,
        function.apply_async,
        lambda **options: the_app.send_task("t", **options),
    ):
        with pytest.raises(InvalidOption, match=message):
            send(**wrong)
    with pytest.raises(InvalidOption, match=f"task has no option `{name}`"):
        the_app.task(**wrong)


def test_a_coroutine_function_is_refused_where_it_is_defined(memory: Any) -> None:
    the_app: Any = memory.app("t")

    async def run(_self: Any = None) -> None: ...

    with pytest.raises(InvalidOption, match="task `t` is an `async def`"):
        the_app.task(name="t")(run)
    with pytest.raises(InvalidOption, match="is an `async def`"):
        type("C", (Task,), {"app": the_app, "run": run})


@pytest.mark.broker
def test_who_taps_a_queue_does_not_wait_for_its_tasks(rabbit: Any) -> None:
    tap = f"{rabbit.queue}-tap"
    rabbit.declare(tap)
    route = rabbit.route("t", queues=(rabbit.queue, tap), taps=(tap,), immediate=True)
    app = rabbit.app(route)
    with rabbit.connection() as connection:
        connection.channel().basic_consume(tap, no_ack=True)
        with pytest.raises(NoConsumers, match=f"no worker consumes {rabbit.queue} now"):
            app.send_task("t", ignore_result=True)


def test_a_message_that_breaks_its_connection_in_memory_goes_out_on_another(memory: Any) -> None:
    app = memory.app("t")
    app.send_task("t", task_id="before")

    def broken(*_: Any, **__: Any) -> None:
        raise OSError("gone")

    link: Any = app.publisher.take()
    link._channel.basic_publish = broken
    app.publisher.give(link)
    app.send_task("t", task_id="after")
    assert [it.properties["correlation_id"] for it in drain(memory)] == ["before", "after"]


@pytest.mark.broker
def test_one_lost_connection_is_the_end_of_all_that_lie_idle(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    publisher = app.publisher
    for link in [publisher.take() for _ in range(3)]:
        publisher.give(link)
    broker.node.close_connections(broker.vhost)
    app.send_task("t", ignore_result=True)
    assert len(publisher._idle) == 1
    assert len(drain(rabbit)) == 1


@pytest.mark.broker
def test_a_forked_child_makes_connections_of_its_own(rabbit: Any, tmp_path: Path) -> None:
    script = tmp_path / "forks.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys, threading
            from routewright.runtime import App, Group, NoResult, Route, Router, Worker

            url, queue = sys.argv[1:]
            routes = [Route("t", "tasks", "work.do", (queue,))]
            group = Group("g", (queue,))
            router = Router(topology="t", source="", target="", vhost=None,
                            routes=routes, groups=[group])
            app = App(router, url)
            other = App(router, url)
            app.task(name="t")(lambda x: x)
            other.task(name="t")(lambda x: x)
            early = app.send_task("t", [0])
            child = os.fork()
            if not child:
                try:
                    early.get(timeout=5)
                except NoResult:
                    pass
                result = app.send_task("t", [1])
                assert result.get(timeout=120) == 1
                app.close()
                os._exit(7)
            worker = Worker(other, group)
            thread = threading.Thread(target=worker.run)
            thread.start()
            assert early.get(timeout=120) == 0
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
            assert app.send_task("t", [2]).get(timeout=120) == 2
            worker.stop()
            thread.join()
            """
        )
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error::ResourceWarning"}
    done = subprocess.run(
        [sys.executable, script, rabbit.url, rabbit.queue],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
