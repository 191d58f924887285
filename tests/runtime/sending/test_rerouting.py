"""Exchanges, keys and queues chosen by a call are checked before anything leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kombu.connection import Connection

from routewright.compiler import compile_text
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.runtime import (
    App,
    InvalidOption,
    InvalidParameter,
    Router,
    Task,
    UnknownExchange,
    UnknownQueue,
    Unroutable,
)

TOPOLOGY = """
topology: media
defaults: {exchange: tasks}
exchanges:
  tasks: {type: topic}
  direct: {}
  inner: {internal: true, type: fanout, bindings: [{exchange: tasks, binding_key: "inner.#"}]}
  regions: {type: headers}
queues:
  video: {exchange: tasks, binding_key: "video.#"}
  image: {bindings: [{exchange: tasks, binding_key: "image.#"}, {exchange: direct, binding_key: i}]}
  both: {exchange: tasks, binding_key: "image.both"}
  crop: {carve_out_of: image, exchange: tasks, binding_key: image.crop}
  audit: {exchange: tasks, binding_key: "audit.#", tap: true}
  pickles: {exchange: inner}
  eu: {bindings: [{exchange: regions, arguments: {region: eu}}]}
  us: {bindings: [{exchange: regions, arguments: {region: us}}]}
tasks:
  t: {routing_key: image.rotate}
  many: {routing_key: image.rotate, multicast: true}
  word: {routing_key: "video.{kind}", parameters: {kind: [a, b]}}
  region: {exchange: regions, headers: {region: eu}}
workers:
  all: {queues: [video, image, both, crop, eu, us]}
  cook: {queues: [pickles], accept: [json, pickle]}
"""


@pytest.fixture(scope="module")
def router() -> Router[str]:
    """The router that the topology compiles to."""
    compilation = compile_text(TOPOLOGY)
    errors = [it for it in compilation.diagnostics if it.severity == "error"]
    assert not errors, errors
    names: dict[str, Any] = {}
    text = compilation.files["router.py"]
    exec(text.replace("from .names import TaskName", "TaskName = str"), names)
    found: Router[str] = names["router"]
    return found


@pytest.fixture
def reach(router: Router[str]) -> Callable[..., set[str]]:
    """Send a task in memory, and tell the queues that it is in."""

    def send(task: str = "t", kwargs: Any = None, declared: Any = None, **options: Any) -> set[str]:
        with App(router, "memory://") as app:
            sender = type(
                "Sender", (Task,), {"app": app, "name": task, "run": _run, **(declared or {})}
            )
            sender.apply_async((), kwargs, ignore_result=True, **options)
        with Connection("memory://") as connection:
            channel: Any = connection.channel()
            found = set()
            for queue in router.graph.queues:
                channel.queue_declare(queue)
                if channel.basic_get(queue, no_ack=True) is not None:
                    found.add(queue)
            return found

    return send


def _run(_self: Any, **_kwargs: Any) -> None: ...


Reach = Callable[..., set[str]]


@pytest.mark.parametrize(
    ("options", "queues"),
    [
        ({}, {"image"}),
        ({"routing_key": "video.compress"}, {"video"}),
        ({"routing_key": "video"}, {"video"}),
        ({"exchange": "direct", "routing_key": "i"}, {"image"}),
        ({"queue": "video"}, {"video"}),
        ({"queue": "pickles"}, {"pickles"}),
        ({"routing_key": "inner.x"}, {"pickles"}),
        ({"routing_key": "image.crop"}, {"crop"}),
        ({"routing_key": "image.crop", "exchange": "tasks"}, {"crop"}),
        ({"routing_key": "nowhere", "mandatory": False}, set()),
    ],
)
def test_a_call_may_say_where_to(reach: Reach, options: Any, queues: set[str]) -> None:
    assert reach(**options) == queues


@pytest.mark.parametrize(
    ("declared", "options", "queues"),
    [
        ({"routing_key": "video.x"}, {}, {"video"}),
        ({"routing_key": "video.x"}, {"routing_key": "image.x"}, {"image"}),
        ({"exchange": "direct"}, {"routing_key": "i"}, {"image"}),
        ({"routing_key": "i"}, {"exchange": "direct"}, {"image"}),
        ({"queue": "video"}, {}, {"video"}),
        ({"queue": "video"}, {"routing_key": "image.x"}, {"image"}),
        ({"routing_key": "image.x"}, {"queue": "video"}, {"video"}),
        ({"mandatory": False, "routing_key": "nowhere"}, {}, set()),
    ],
)
def test_the_call_wins_over_the_task_and_the_task_over_the_topology(
    reach: Reach, declared: Any, options: Any, queues: set[str]
) -> None:
    assert reach(declared=declared, **options) == queues


def test_a_task_that_may_run_in_several_queues_may_be_sent_to_them(reach: Reach) -> None:
    assert reach("many", routing_key="image.both") == {"image", "both"}


def test_a_key_of_its_own_needs_no_placeholder_filled(reach: Reach) -> None:
    assert reach("word", kwargs={"kind": "a"}) == {"video"}
    assert reach("word", routing_key="image.x") == {"image"}
    with pytest.raises(InvalidParameter):
        reach("word", exchange="direct")


def test_headers_of_the_call_decide_where_an_exchange_looks_at_them(reach: Reach) -> None:
    assert reach("region") == {"eu"}
    assert reach("region", headers={"region": "us"}) == {"us"}
    with pytest.raises(Unroutable, match="no work queue gets"):
        reach("region", headers={"region": "mars"})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"exchange": "taskz"}, UnknownExchange, "no exchange `taskz`; did you mean `tasks`"),
        ({"queue": "vidoe"}, UnknownQueue, "no queue `vidoe`; did you mean `video`"),
        ({"exchange": "", "routing_key": "vidoe"}, UnknownQueue, "did you mean `video`"),
        ({"routing_key": "vidoe.x"}, Unroutable, "no work queue gets `vidoe.x` by exchange `tasks"),
        ({"routing_key": "audit.x"}, Unroutable, "no work queue gets"),
        ({"routing_key": "image.both"}, InvalidOption, "2 work queues .*`both`, `image`"),
        ({"routing_key": "video.#"}, InvalidOption, "`video.#` is a pattern"),
        ({"routing_key": "x" * 256}, InvalidOption, "at most 255 bytes"),
        ({"routing_key": 5}, InvalidOption, "is a text, not 5"),
        ({"exchange": 5}, InvalidOption, "is the name of one, not 5"),
        ({"exchange": "inner"}, InvalidOption, "is internal"),
        ({"queue": "video", "routing_key": "x"}, InvalidOption, "leave out `exchange` and"),
        ({"queue": "video", "serializer": "pickle"}, InvalidOption, "its workers read json"),
    ],
)
def test_what_cannot_arrive_is_refused_in_the_call(
    reach: Reach, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        reach(**options)


def test_what_the_workers_of_the_other_queue_read_counts(reach: Reach) -> None:
    assert reach(queue="pickles", serializer="pickle") == {"pickles"}


@pytest.mark.broker
def test_the_broker_takes_it_to_the_same_queues(router: Router[str], broker: Any) -> None:
    topology = compile_text(TOPOLOGY).topology
    assert topology is not None
    apply_topology(topology, broker.url)
    keys = ["image.rotate", "image.crop", "video", "video.a.b", "inner.x"]
    with App(router, broker.url) as app:
        for key in keys:
            app.send_task("t", routing_key=key, ignore_result=True)
        app.send_task("t", queue="us", ignore_result=True)
        app.send_task("region", headers={"region": "us"}, ignore_result=True)
    counts = {row["name"]: row["messages"] for row in broker.queues() if row["messages"]}
    assert counts == {"image": 1, "crop": 1, "video": 2, "pickles": 1, "us": 2}
