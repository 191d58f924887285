"""A real Celery under the emitted settings sends each task where the compiler says it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from private_nodes import Broker

from routewright.compiler.task_names import named
from routewright.compiler.templates import placeholders
from routewright.compiler.topology import Task

pytestmark = pytest.mark.broker

ROOT = Path(__file__).parents[2]
EVERY_WAY = ROOT / "tests" / "wire" / "topology.yaml"
TOPOLOGIES = (
    ROOT / "topology.yaml",
    EVERY_WAY,
    ROOT / "tests" / "compiler" / "delays.yaml",
    ROOT / "tests" / "compiler" / "sound" / "shop.yaml",
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
def test_every_task_arrives_where_the_compiler_says(
    broker: Broker, compiled: Any, arrived: Arrived, path: Path, registered: bool
) -> None:
    topology = compiled(path)
    topology.declare(broker.url)
    compilation = topology.compilation
    expected: dict[str, list[str]] = {}
    with topology.celery(broker.url) as app:
        for task, name, arguments in calls(compilation.topology.tasks):
            if registered:
                sent = app.task(name=name)(nothing).apply_async(kwargs=arguments)
            else:
                sent = app.send_task(name, kwargs=arguments)
            headers = {"lang": "py", "task": name, **task.headers}
            delivery = compilation.route(task.exchange.name, key_of(task, arguments), headers)
            assert delivery.queues, name
            expected[sent.id] = list(delivery.queues)
    assert arrived(broker) == expected
