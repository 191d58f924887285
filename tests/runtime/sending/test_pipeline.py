"""Many tasks on one connection: each has an outcome, and none is called sent unless confirmed."""

from __future__ import annotations

import os
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Any

import pytest

from routewright.runtime import (
    BrokerUnreachable,
    EncodeError,
    InvalidOption,
    Nacked,
    NoConsumers,
    NoResult,
    NotAllSent,
    Refused,
    Task,
    TaskSet,
    Unroutable,
)

Sent = Callable[..., None]


def ids(stage: Any, queue: str | None = None) -> Counter[str]:
    """How often each task is in the queue."""
    found: Counter[str] = Counter()
    with stage.connection() as connection:
        channel = connection.channel()
        while (raw := channel.basic_get(queue or stage.queue, no_ack=True)) is not None:
            found[channel.message_to_python(raw).properties["correlation_id"]] += 1
    return found


def send_all(
    app: Any,
    tasks: Iterable[str],
    args: Callable[[int], list[Any]] = lambda _: [],
    task_id: str = "",
) -> None:
    """Send these tasks in one block; their ids are their places unless one is given."""
    with app.pipeline():
        for number, task in enumerate(tasks):
            app.send_task(task, args(number), task_id=task_id or str(number), ignore_result=True)


def test_a_pipeline_sends_what_its_block_sends(stage: Any) -> None:
    app = stage.app("t")
    with app.pipeline() as pipeline:
        results = [app.send_task("t", [number], ignore_result=True) for number in range(2500)]
    assert (pipeline.sent, pipeline.failed) == (2500, ())
    assert ids(stage) == Counter(result.id for result in results)


def test_a_set_of_tasks_is_sent_and_waited_for_together(stage: Any) -> None:
    the_app = stage.app("t.add", "t.twice")

    class Add(Task):
        app = the_app
        name = "t.add"

        def run(self, x: int, y: int) -> int:
            return x + y

    twice = the_app.task(name="t.twice")(lambda x: 2 * x)
    sent = TaskSet(
        [Add.s(1, 2), Add.signature(args=[3], kwargs={"y": 4}, priority=0), twice.s(5)]
    ).apply_async()
    with stage.worker(the_app):
        assert sent.join(timeout=120) == [3, 7, 10]
    assert sent.ready()
    assert sent.successful()
    assert sent.outcomes == (None, None, None)
    assert [result.task for result in sent] == ["t.add", "t.add", "t.twice"]


def test_a_set_is_made_of_signatures_of_one_app(memory: Any) -> None:
    one, other = memory.app("t"), memory.app("t")
    tasks = [app.task(name="t")(lambda: None) for app in (one, other)]
    wrong: Any = [tasks[0]]
    with pytest.raises(InvalidOption, match="made of signatures"):
        TaskSet(wrong)
    with pytest.raises(InvalidOption, match="all of one app"):
        TaskSet([task.s() for task in tasks])
    assert len(TaskSet([]).apply_async()) == 0


@pytest.mark.broker
def test_an_unroutable_task_among_ten_thousand_is_named(rabbit: Any) -> None:
    app = rabbit.app("t", rabbit.route("lost", routing_key="nowhere"))
    lost = app.task(name="lost")(lambda: None)
    good = app.task(name="t")(lambda: None)
    tasks = [good.signature(ignore_result=True) for _ in range(10_000)]
    tasks[6789] = lost.signature(task_id="the-lost-one")
    with pytest.raises(NotAllSent) as caught:
        TaskSet(tasks).apply_async()
    error = caught.value
    assert "1 of 10,000 tasks were not sent: #6789 `lost` (the-lost-one)" in str(error)
    [failed] = error.failed
    assert (failed.index, failed.task, failed.id) == (6789, "lost", "the-lost-one")
    assert isinstance(failed.error, Unroutable)
    assert [index for index, it in enumerate(error.results.outcomes) if it] == [6789]
    with pytest.raises(NoResult, match="was not sent"):
        error.results[6789].get(timeout=5)
    assert sum(ids(rabbit).values()) == 9999


@pytest.mark.broker
def test_the_end_of_the_block_names_what_failed_and_spares_the_rest(rabbit: Any) -> None:
    app = rabbit.app("t", rabbit.route("lost", routing_key="nowhere"))
    with pytest.raises(NotAllSent, match=r"5 of 50 tasks .* and 2 more") as caught:
        send_all(app, ("t" if number % 10 else "lost" for number in range(50)))
    assert [each.index for each in caught.value.failed] == [0, 10, 20, 30, 40]
    assert {type(each) for each in caught.value.exceptions} == {Unroutable}
    assert [each.index for each in pickle.loads(pickle.dumps(caught.value)).failed][1] == 10
    app.send_task("t", ignore_result=True)
    assert sum(ids(rabbit).values()) == 46


@pytest.mark.broker
def test_an_error_of_the_block_is_its_own_and_what_was_sent_before_it_is_confirmed(
    rabbit: Any,
) -> None:
    app = rabbit.app("t", rabbit.route("lost", routing_key="nowhere"))
    with pytest.raises(ZeroDivisionError) as caught:
        send_all(app, ("t" if number else "lost" for number in (1 / it - 1 for it in (2, 1, 0))))
    assert caught.value.__notes__[0].startswith("1 of 2 tasks were not sent: #1 `lost`")
    assert ids(rabbit).total() == 1


@pytest.mark.broker
def test_what_cannot_leave_raises_in_its_own_call(rabbit: Any) -> None:
    app = rabbit.app("t")
    with app.pipeline() as pipeline:
        app.send_task("t", ignore_result=True)
        with pytest.raises(EncodeError):
            app.send_task("t", [object()], ignore_result=True)
        with pytest.raises(NoConsumers):
            app.send_task("t", immediate=True, ignore_result=True)
        app.send_task("t", ignore_result=True)
    assert pipeline.sent == 2
    assert ids(rabbit).total() == 2


@pytest.mark.broker
def test_a_task_that_cannot_be_encoded_keeps_no_other_of_its_set_from_being_sent(
    rabbit: Any,
) -> None:
    app = rabbit.app("t")
    task = app.task(name="t")(lambda *_: None)
    tasks = [task.s(1), task.s(object()), task.signature([1], priority=77), task.s(2)]
    with pytest.raises(NotAllSent) as caught:
        TaskSet(tasks).apply_async()
    kinds = [type(it) for it in caught.value.results.outcomes]
    assert kinds == [type(None), EncodeError, InvalidOption, type(None)]
    assert ids(rabbit).total() == 2


@pytest.mark.broker
def test_two_messages_with_one_id_are_not_taken_for_each_other(rabbit: Any) -> None:
    app = rabbit.app("t", rabbit.route("lost", routing_key="nowhere"))
    with pytest.raises(NotAllSent) as caught:
        send_all(app, ["t", "lost"] * 20, task_id="same")
    assert [each.index for each in caught.value.failed] == list(range(1, 40, 2))
    assert ids(rabbit) == Counter(same=20)


@pytest.mark.broker
@pytest.mark.parametrize("culprits", [{0}, {700}, {1499}, {3, 4, 900}])
def test_a_message_over_which_the_channel_is_closed_is_the_only_one_that_fails(
    rabbit: Any, culprits: set[int]
) -> None:
    app = rabbit.app("t", rabbit.route("typo", exchange="taskz"))
    with pytest.raises(NotAllSent) as caught:
        send_all(app, ("typo" if number in culprits else "t" for number in range(1500)))
    assert {each.index for each in caught.value.failed} == culprits
    assert all("no exchange 'taskz'" in str(each.error) for each in caught.value.failed)
    arrived = ids(rabbit)  # some may be there twice: the broker had not confirmed them
    assert set(arrived) == {str(number) for number in range(1500) if number not in culprits}


def test_a_message_that_is_too_large_is_the_only_one_that_fails(rabbitmq: Any, rabbit: Any) -> None:
    app = rabbit.app("t")
    with rabbitmq.settings(max_message_size=1_000_000), pytest.raises(NotAllSent) as caught:
        send_all(app, ["t"] * 20, lambda number: ["x" * (2_000_000 if number == 7 else 10)])
    [failed] = caught.value.failed
    assert failed.index == 7
    assert isinstance(failed.error, Refused)
    assert "larger than configured max size" in str(failed.error)
    assert set(ids(rabbit)) == {str(number) for number in range(20) if number != 7}


@pytest.mark.broker
def test_a_full_queue_refuses_each_message_by_itself(rabbit: Any) -> None:
    rabbit.limit(10)
    app = rabbit.app("t")
    with pytest.raises(NotAllSent) as caught:
        send_all(app, ["t"] * 100)
    assert {type(each.error) for each in caught.value.failed} == {Nacked}
    assert ids(rabbit).total() == 100 - len(caught.value.failed)


@pytest.mark.broker
def test_a_connection_that_breaks_midway_loses_nothing(rabbit: Any, broker: Any) -> None:
    app = rabbit.app("t")
    with app.pipeline() as pipeline:
        for number in range(6000):
            app.send_task("t", task_id=f"task-{number}", ignore_result=True)
            if number % 2000 == 1000:
                broker.node.close_connections(broker.vhost, "trouble")
    assert pipeline.sent == 6000
    assert set(ids(rabbit)) == {f"task-{number}" for number in range(6000)}


def test_without_a_broker_each_task_of_a_set_is_told_so(memory: Any) -> None:
    memory.url = "amqp://127.0.0.1:1//"
    app = memory.app("t", connect_timeout=0.2)
    task = app.task(name="t")(lambda: None)
    with pytest.raises(NotAllSent) as caught:
        TaskSet([task.signature(ignore_result=True) for _ in range(1000)]).apply_async()
    assert {type(it) for it in caught.value.results.outcomes} == {BrokerUnreachable}
    with pytest.raises(BrokerUnreachable), app.pipeline():
        app.send_task("t", ignore_result=True)


@pytest.mark.broker
def test_one_block_within_another_needs_no_connection_of_its_own(rabbit: Any) -> None:
    app = rabbit.app("t", rabbit.route("lost", routing_key="nowhere"), pool_limit=1)
    with app.pipeline() as outer:
        app.send_task("t", ignore_result=True)
        with pytest.raises(NotAllSent, match="1 of 2"):
            send_all(app, ["lost", "t"])
        app.send_task("t", ignore_result=True)
    assert outer.sent == 2
    assert ids(rabbit).total() == 3


@pytest.mark.broker
def test_other_threads_and_other_apps_send_as_ever(rabbit: Any) -> None:
    app = rabbit.app("t", rabbit.route("lost", routing_key="nowhere"))
    other = rabbit.app(rabbit.route("lost", routing_key="nowhere"))
    raised: list[type] = []

    def send(sender: Any) -> None:
        try:
            sender.send_task("lost", ignore_result=True)
        except Unroutable as error:
            raised.append(type(error))

    with app.pipeline() as pipeline:
        context = copy_context()  # as a task of an event loop takes it to a thread
        for target in (send, lambda it: context.run(send, it)):
            thread = threading.Thread(target=target, args=(app,))
            thread.start()
            thread.join()
    assert pipeline.sent == 0
    context.run(send, app)  # the block is over
    assert raised == [Unroutable] * 3
    with app.pipeline(), pytest.raises(Unroutable):
        other.send_task("lost", ignore_result=True)


@pytest.mark.broker
def test_a_child_that_is_forked_in_the_block_has_no_part_in_it(rabbit: Any) -> None:
    app = rabbit.app("t")
    with app.pipeline() as pipeline:
        app.send_task("t", task_id="before", ignore_result=True)
        child = os.fork()
        if not child:
            try:
                app.send_task("t", task_id="in-child", ignore_result=True)
                pipeline.__exit__(None, None, None)
            except BaseException:  # noqa: BLE001  the parent looks at the exit code
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        app.send_task("t", task_id="after", ignore_result=True)
    assert ids(rabbit) == Counter(["before", "in-child", "after"])
