"""A real Celery under the emitted settings sends each task where the compiler says it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from amqp.exceptions import ChannelError
from celery import Celery
from celery.exceptions import QueueNotFound
from kombu.connection import Connection
from kombu.entity import Exchange
from private_nodes import Broker

from routewright.compiler.model.task_keys import placeholders
from routewright.compiler.model.task_names import named
from routewright.compiler.model.topology import Task
from routewright.runtime import (
    App,
    InvalidOption,
    UnknownExchange,
    UnknownTask,
    Unroutable,
)
from routewright.runtime.messages.message import PROTOCOL_HEADERS

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
EVERY_WAY = ROOT / "tests" / "wire" / "topology.yaml"
TOPOLOGIES = (
    ROOT / "topology.yaml",
    EVERY_WAY,
    ROOT / "tests" / "compiler" / "lowering" / "delays.yaml",
    ROOT / "tests" / "oracles" / "sound" / "shop.yaml",
    *sorted(ROOT.glob("examples/*/topology.yaml")),
)
WORD = "anna"

Arrived = Callable[[Broker], dict[str, list[str]]]


def calls(tasks: dict[str, Task]) -> Iterator[tuple[Task, str, dict[str, str]]]:
    """Every task with its own name, and those of each pattern: with each listed argument."""
    for task in tasks.values():
        names = [task.name]
        if task.is_pattern:
            names = [task.name.replace("*", WORD).replace("#", rest) for rest in ("x", "x.y.z")]
        for name in names:
            one = named(task, name)
            wanted = placeholders(one.routing_key)
            values = [one.parameters.get(it, (WORD,)) for it in wanted]
            for words in product(*values):
                yield one, name, dict(zip(wanted, words, strict=True))


def nothing(**_: object) -> None: ...


def key_of(task: Task, arguments: dict[str, str]) -> str:
    key = task.routing_key
    for name, word in arguments.items():
        key = key.replace(f"{{{name}}}", word)
    return key


@pytest.mark.parametrize("path", TOPOLOGIES, ids=lambda path: f"{path.parent.name}/{path.stem}")
@pytest.mark.parametrize("registered", [True, False], ids=["registered", "by name"])
@pytest.mark.parametrize("options", [{}, {"countdown": 9}], ids=["now", "later"])
def test_every_task_arrives_where_the_compiler_says(
    broker: Broker,
    compiled: Any,
    arrived: Arrived,
    path: Path,
    registered: bool,
    options: dict[str, Any],
) -> None:
    topology = compiled(path)
    topology.declare(broker.url)
    compilation = topology.compilation
    expected: dict[str, list[str]] = {}
    with topology.celery(broker.url) as app:
        for task, name, arguments in calls(compilation.topology.tasks):
            if registered:
                known: Any = app.task(name=name)(nothing)
                sent = known.apply_async(kwargs=arguments, **options)
            else:
                sent = app.send_task(name, kwargs=arguments, **options)
            headers = {"lang": "py", "task": name, **task.headers}
            delivery = compilation.route(task.exchange.name, key_of(task, arguments), headers)
            assert delivery.queues, name
            expected[sent.id] = list(delivery.queues)
    assert arrived(broker) == expected


@pytest.fixture
def every_way(compiled: Any, broker: Broker) -> Any:
    """The topology with every way of routing, declared."""
    topology = compiled(EVERY_WAY)
    topology.declare(broker.url)
    return topology


@pytest.fixture
def celery(every_way: Any, broker: Broker) -> Iterator[Celery]:
    with every_way.celery(broker.url) as app:
        yield app


def messages(broker: Broker) -> dict[str, Any]:
    """What is in the queues, each message once, by its task's id."""
    found: dict[str, Any] = {}
    with Connection(broker.url) as connection:
        channel: Any = connection.channel()
        for row in broker.queues("name"):
            while (message := channel.basic_get(row["name"], no_ack=True)) is not None:
                found[message.headers["id"]] = message
    return found


def shape(message: Any) -> dict[str, Any]:
    """What must be the same of a message, whoever sends it."""
    properties, headers = message.properties, message.headers
    own = {name: value for name, value in headers.items() if name not in PROTOCOL_HEADERS}
    expires = properties.get("expiration")
    return {
        "exchange": message.delivery_info["exchange"],
        "routing key": message.delivery_info["routing_key"],
        "priority": properties.get("priority") or 0,
        "delivery mode": properties["delivery_mode"],
        "content type": properties["content_type"],
        "headers": own,
        "ignores its result": bool(headers["ignore_result"]),
        "expires in minutes": expires and round(int(expires) / 60_000),
        "time limits": headers["timelimit"],
        "says when it expires": headers["expires"] is not None,
    }


def test_the_message_of_a_task_is_the_one_that_this_runtime_sends(
    broker: Broker, every_way: Any, celery: Celery
) -> None:
    tasks = every_way.compilation.topology.tasks
    pairs: list[tuple[str, str]] = []
    with App(every_way.router, broker.url) as ours:
        for _, name, arguments in calls(tasks):
            task: Any = celery.task(name=name)(nothing)
            theirs = task.apply_async(kwargs=arguments)
            pairs.append((theirs.id, ours.send_task(name, kwargs=arguments).id))
        found = messages(broker)
    assert len(pairs) > len(tasks)
    for theirs_id, ours_id in pairs:
        assert shape(found[theirs_id]) == shape(found[ours_id])


def test_what_the_code_of_a_task_says_wins_over_the_topology(
    broker: Broker, celery: Celery
) -> None:
    mine: Any = celery.task(name="films.Cut", serializer="yaml", expires=3600, ignore_result=True)
    sent = mine(nothing).delay()
    found = shape(messages(broker)[sent.id])
    assert (found["content type"], found["expires in minutes"]) == ("application/x-yaml", 60)
    assert found["ignores its result"]


def test_a_task_that_the_topology_does_not_declare_goes_nowhere(
    broker: Broker, celery: Celery, arrived: Arrived
) -> None:
    with pytest.raises(UnknownTask, match=r"no task `picture\.Crop`; did you mean"):
        celery.send_task("picture.Crop")
    assert arrived(broker) == {}


@pytest.mark.parametrize(
    ("options", "queues"),
    [
        ({"routing_key": "video.cut.short"}, ["audit", "video"]),
        ({"exchange": "jobs", "routing_key": "safe"}, ["safe"]),
        ({"exchange": Exchange("jobs"), "routing_key": ""}, ["sums"]),
        ({"exchange": "tasks", "routing_key": "image.crop"}, ["audit", "crop"]),
        ({"queue": "spare"}, ["spare"]),
        ({"queue": "image", "countdown": 9}, ["image"]),
        ({"exchange": "sorted", "headers": {"region": "us"}}, ["us"]),
    ],
)
def test_a_call_may_choose_its_way(
    broker: Broker,
    celery: Celery,
    arrived: Arrived,
    options: dict[str, Any],
    queues: list[str],
) -> None:
    sent = celery.send_task("pictures.Rotate", **options)
    assert arrived(broker) == {sent.id: queues}


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"routing_key": "nowhere"}, Unroutable),
        ({"exchange": "task", "routing_key": "image.crop"}, UnknownExchange),
        ({"exchange": "shout"}, InvalidOption),  # it would run in two queues
        ({"routing_key": "image.#"}, InvalidOption),
        ({"queue": "spar"}, QueueNotFound),
        ({"immediate": True}, InvalidOption),  # the broker would end the connection
    ],
)
def test_a_way_that_leads_astray_is_refused_in_the_call(
    broker: Broker,
    celery: Celery,
    arrived: Arrived,
    options: dict[str, Any],
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        celery.send_task("pictures.Rotate", **options)
    assert arrived(broker) == {}


def test_headers_of_a_call_stand_beside_those_of_the_route(broker: Broker, celery: Celery) -> None:
    sent = celery.send_task("news.Europe", headers={"mine": 1})
    assert shape(messages(broker)[sent.id])["headers"] == {"region": "eu", "mine": 1}


def test_an_unroutable_message_raises_in_its_own_call_and_in_no_other(
    broker: Broker, celery: Celery, arrived: Arrived
) -> None:
    with Connection(broker.url) as connection:
        channel: Any = connection.channel()
        channel.queue_unbind("video", "tasks", "video.#")
        channel.queue_unbind("audit", "log", "#")
    with pytest.raises(ChannelError, match="NO_ROUTE"):
        celery.send_task("films.Cut")
    sent = celery.send_task("sums.Add")
    assert arrived(broker) == {sent.id: ["sums"]}


def test_the_settings_can_be_imported_beside_an_application_s_own(
    every_way: Any, broker: Broker, arrived: Arrived
) -> None:
    own = ModuleType("own_settings")
    exec(f"from {every_way.settings} import *\ntask_ignore_result = True", own.__dict__)
    with every_way.celery(broker.url) as app:
        app.config_from_object(own, force=True)
        sent = app.send_task("sums.Add")
        assert app.conf.task_ignore_result
        assert not app.conf.task_create_missing_queues
    assert arrived(broker) == {sent.id: ["sums"]}


REDIS = """
topology: small
target: redis
defaults: {exchange: tasks}
exchanges: {tasks: {type: topic}}
queues:
  urgent: {exchange: tasks, binding_key: "urgent.#"}
  mail: {exchange: tasks, binding_key: "mail.#"}
  copy: {exchange: tasks, binding_key: "mail.copied", tap: true}
tasks:
  "urgent.*": {routing_key: "{task}", priority: 3}
  mail.copied: {routing_key: mail.copied}
workers: {all: {queues: [urgent, mail]}}
"""


@pytest.mark.redis
def test_on_redis_a_task_goes_to_its_queue_or_its_call_raises(
    compiled: Any, redis_server: Any, tmp_path: Path
) -> None:
    """kombu knows only the exchanges that the process itself declared, so it gets a queue."""
    (tmp_path / "topology.yaml").write_text(REDIS)
    topology = compiled(tmp_path / "topology.yaml")
    with topology.celery(redis_server.url) as app, Connection(redis_server.url) as connection:
        channel: Any = connection.channel()
        sent = app.send_task("urgent.Call")
        message = channel.basic_get("urgent", no_ack=True)
        assert (message.headers["id"], message.properties["priority"]) == (sent.id, 3)
        with pytest.raises(InvalidOption, match="just one queue"):
            app.send_task("mail.copied")
        assert channel.basic_get("mail", no_ack=True) is None
