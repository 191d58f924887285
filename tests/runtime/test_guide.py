# ruff: noqa: N806  the names are the guide's own
"""The guide to `apply_async` that the options come from, block by block, on RabbitMQ.

Each test is a code block of the guide, as today's Python writes it. Those with `countdown` and
`eta` stand in `test_delays.py`.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from kombu.connection import Connection

from routewright.compiler import compile_text
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.runtime import (
    App,
    InvalidOption,
    NoConsumers,
    Task,
    TaskSet,
    Unroutable,
    Worker,
    establish_connection,
)
from routewright.runtime.api import app as apps

pytestmark = pytest.mark.broker

TOPOLOGY = """
topology: guide
defaults: {exchange: tasks, routing_key: misc.any}
exchanges:
  tasks: {type: topic}
queues:
  video: {exchange: tasks, binding_key: "video.#", max_priority: 9}
  image: {exchange: tasks, binding_key: "image.#"}
  lowpri: {exchange: tasks, binding_key: "misc.#"}
  stock: {exchange: tasks, binding_key: "*.stock.#"}
tasks:
  guide.MyTask: {}
  guide.AddTask: {}
  guide.PickleTask: {serializer: pickle}
  guide.CompressVideoTask: {}
  guide.ImageRotateTask: {}
  guide.ImageCropTask: {}
  guide.UpdateRecommendationsTask: {}
workers:
  powerful: {queues: [video, image]}
  slow: {queues: [lowpri, stock], accept: [json, yaml, pickle]}
"""

# "Later, if suddenly the image crop task is consuming a lot of resources ..."
WITH_CROP = TOPOLOGY.replace(
    "  stock:", "  crop: {carve_out_of: image, binding_key: image.crop}\n  stock:"
).replace("[video, image]", "[video, image, crop]")


@dataclass(frozen=True)
class Guide:
    """An app of the guide's topology, which is declared on a broker."""

    app: App
    broker: Any

    def task(self, name: str, run: Callable[..., Any] = lambda *_: None) -> Any:
        """A task of the guide as a class."""
        body = {"app": self.app, "name": f"guide.{name}", "run": staticmethod(run)}
        return type(name, (Task,), body)

    def queues(self) -> dict[str, int]:
        """How many messages are in each queue that has any."""
        return {row["name"]: row["messages"] for row in self.broker.queues() if row["messages"]}


@pytest.fixture
def compiled(
    broker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Guide]]:
    """Compile a topology, declare it, and import the router."""
    monkeypatch.setattr(apps, "_apps", WeakSet())  # the guide's process has one app
    monkeypatch.syspath_prepend(tmp_path)
    with ExitStack() as exits:

        def make(text: str) -> Guide:
            compilation = compile_text(text)
            assert compilation.topology is not None
            assert compilation.files, compilation.diagnostics
            apply_topology(compilation.topology, broker.url)
            for name, content in compilation.files.items():
                (tmp_path / "guide_routing").mkdir(exist_ok=True)
                (tmp_path / "guide_routing" / name).write_text(content)
            app = App(importlib.import_module("guide_routing").router, broker.url)
            exits.callback(app.close)
            return Guide(app, broker)

        yield make
    for name in [name for name in sys.modules if name.startswith("guide_routing")]:
        del sys.modules[name]


@pytest.fixture
def guide(compiled: Callable[[str], Guide]) -> Guide:
    """The topology of the guide."""
    return compiled(TOPOLOGY)


@pytest.fixture
def working(guide: Guide) -> Iterator[Callable[[], None]]:
    """Starts a worker for each group."""
    workers: list[tuple[Worker, threading.Thread]] = []

    def start() -> None:
        for name in ("powerful", "slow"):
            worker = Worker(guide.app, guide.app.router.group(name))
            thread = threading.Thread(target=worker.run)
            thread.start()
            workers.append((worker, thread))

    yield start
    for worker, thread in workers:
        worker.stop()
        thread.join(20)


def add(x: int, y: int) -> int:
    return x + y


def test_delay_and_apply_async_are_the_same_call(guide: Guide, working: Any) -> None:
    MyTask = guide.task("MyTask", lambda *args, **kwargs: [args, kwargs])
    AddTask = guide.task("AddTask", add)
    guide.task("CompressVideoTask")
    working()
    by_delay = MyTask.delay("arg1", 2, kwarg1="x", kwarg2="y")
    by_apply = MyTask.apply_async(args=["arg1", 2], kwargs={"kwarg1": "x", "kwarg2": "y"})
    value = [["arg1", 2], {"kwarg1": "x", "kwarg2": "y"}]
    assert [by_delay.get(timeout=120), by_apply.get(timeout=120)] == [value, value]
    assert AddTask.apply_async(args=[10, 10]).get(timeout=120) == 20


def test_the_serializer_is_said_by_the_call_in_any_case(guide: Guide, working: Any) -> None:
    AddTask = guide.task("AddTask", add)
    PickleTask = guide.task("PickleTask", sorted)
    guide.task("CompressVideoTask")
    working()
    results = [AddTask.apply_async(args=[10, 10], serializer=it) for it in ("JSON", "YAML")]
    assert [result.get(timeout=120) for result in results] == [20, 20]
    # pickle, which was the guide's default, where the task and the worker group both say so
    assert PickleTask.delay({3, 1, 2}).get(timeout=120) == [1, 2, 3]
    with pytest.raises(InvalidOption, match="its workers read json"):
        AddTask.apply_async(args=[10, 10], serializer="pickle", queue="image")


def test_several_tasks_go_on_one_connection(guide: Guide, working: Any) -> None:
    AddTask = guide.task("AddTask", add)
    guide.task("CompressVideoTask")
    working()
    numbers = [(2, 2), (4, 4), (8, 8), (16, 16)]

    results = []
    connection = establish_connection()
    try:
        for args in numbers:
            res = AddTask.apply_async(args=args, connection=connection)
            results.append(res)
    finally:
        connection.close()
    assert [res.get(timeout=120) for res in results] == [4, 8, 16, 32]

    results = []
    with establish_connection() as connection:
        for args in numbers:
            res = AddTask.apply_async(args=args, connection=connection)
            results.append(res)
    assert [res.get(timeout=120) for res in results] == [4, 8, 16, 32]

    # "Task Sets already re-use the same connection"
    sent = TaskSet([AddTask.s(*args) for args in numbers]).apply_async()
    assert sent.join(timeout=120) == [4, 8, 16, 32]


def test_connecting_is_given_up_after_the_timeout(guide: Guide) -> None:
    AddTask = guide.task("AddTask", add)
    AddTask.apply_async([10, 10], connect_timeout=3)
    connection = establish_connection(connect_timeout=3)
    AddTask.apply_async([10, 10], connection=connection)
    connection.close()
    assert guide.queues()["lowpri"] == 2


def test_stars_and_hashes_match_words(guide: Guide) -> None:
    AddTask = guide.task("AddTask", add)
    for key in ("usd.stock", "euro.stock.db"):
        AddTask.apply_async(args=[1, 1], routing_key=key)
    with pytest.raises(Unroutable, match="no work queue gets `stock"):
        AddTask.apply_async(args=[1, 1], routing_key="stock.nasdaq")
    assert guide.queues()["stock"] == 2


def send_the_guides_tasks(guide: Guide) -> None:
    filename, selection = "clip.y4m", [0, 0, 10, 10]
    CompressVideoTask = guide.task("CompressVideoTask")
    ImageRotateTask = guide.task("ImageRotateTask")
    ImageCropTask = guide.task("ImageCropTask")
    UpdateRecommendationsTask = guide.task("UpdateRecommendationsTask")

    CompressVideoTask.apply_async(args=[filename], routing_key="video.compress")
    ImageRotateTask.apply_async(args=[filename, 360], routing_key="image.rotate")
    ImageCropTask.apply_async(args=[filename, selection], routing_key="image.crop")
    UpdateRecommendationsTask.apply_async(routing_key="misc.recommend")


def counted(guide: Guide) -> dict[str, int]:
    return {name: count for name, count in guide.queues().items() if "reply" not in name}


def test_keys_lead_to_the_machines_that_listen(guide: Guide) -> None:
    send_the_guides_tasks(guide)
    assert counted(guide) == {"video": 1, "image": 2, "lowpri": 1}


def test_crops_get_workers_of_their_own_and_run_once(
    compiled: Callable[[str], Guide],
) -> None:
    guide = compiled(WITH_CROP)
    send_the_guides_tasks(guide)
    assert counted(guide) == {"video": 1, "image": 1, "crop": 1, "lowpri": 1}


def test_mandatory_raises_where_no_queue_takes_the_task(guide: Guide) -> None:
    CompressVideoTask = guide.task("CompressVideoTask")
    with Connection(guide.broker.url) as connection:
        channel: Any = connection.channel()
        channel.queue_delete("video")
    with pytest.raises(Unroutable, match="312 NO_ROUTE"):
        CompressVideoTask.apply_async(args=["x"], routing_key="video.x", mandatory=True)
    CompressVideoTask.apply_async(args=["x"], routing_key="video.x", mandatory=False)


def test_immediate_raises_where_no_worker_waits(guide: Guide, working: Any) -> None:
    AddTask = guide.task("AddTask", add)
    guide.task("CompressVideoTask")
    with pytest.raises(NoConsumers, match="no worker consumes lowpri now"):
        AddTask.apply_async(args=[1, 1], immediate=True)
    working()
    while True:
        try:
            result = AddTask.apply_async(args=[1, 1], immediate=True)
            break
        except NoConsumers:
            continue
    assert result.get(timeout=120) == 2


def test_priority_0_is_served_first(guide: Guide, working: Any) -> None:
    order: list[int] = []
    CompressVideoTask = guide.task("CompressVideoTask", order.append)
    guide.task("AddTask", add)
    results = [
        CompressVideoTask.apply_async(args=[priority], routing_key="video.x", priority=priority)
        for priority in (5, 9, 0, 3)
    ]
    working()
    for result in results:
        result.get(timeout=120)
    assert order == [0, 3, 5, 9]
