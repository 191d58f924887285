"""Slips in the code of an application, which `check --app` compares with the topology."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from planted.oracle import reached
from planted.slip import Application, Planting, Slip
from planted.sound import Document, Sound


def code_of(document: Document) -> dict[str, Mapping[str, Any]]:
    """Code for every task of a topology; for one of the names where that is a pattern."""
    return {_one_of(name): {} for name in document["tasks"]}


def _code_missing(base: Sound) -> Iterator[Slip]:
    for name, code in _without_one(base):
        yield f"task `{name}`", Application(base.changed(), code)


def _group_without_it(base: Sound) -> Iterator[Slip]:
    for name, code in _without_one(base):
        task = base.topology.tasks[name]
        if task.name not in {it.name for it in base.tasks()}:
            continue
        queues = reached(base.document, name)
        for group, its in base.document["workers"].items():
            work = {it for it in its["queues"] if not base.document["queues"][it].get("tap")}
            if not queues.isdisjoint(work):
                about = f"worker group `{group}` gets `{name}`"
                yield about, Application(base.changed(), code)


def _not_in_the_topology(base: Sound) -> Iterator[Slip]:
    if not any(set(name) & {"*", "#"} for name in base.document["tasks"]):
        for name in base.document["tasks"]:
            code = {**code_of(base.document), f"{name}x": {}}
            yield f"a task `{name}x`", Application(base.changed(), code)


def _says_otherwise(base: Sound) -> Iterator[Slip]:
    for name in base.document["tasks"]:
        for option, here, there in (
            ("priority", 3, 7),
            ("serializer", "json", "yaml"),
            ("ignore_result", True, False),
        ):
            document = base.changed()
            document["tasks"][name][option] = here
            code = {**code_of(document), _one_of(name): {option: there}}
            yield f"task `{name}` has `{option}` {there!r}", Application(document, code)


def _without_one(base: Sound) -> Iterator[tuple[str, dict[str, Mapping[str, Any]]]]:
    for name in base.document["tasks"]:
        code = code_of(base.document)
        del code[_one_of(name)]
        yield name, code


def _one_of(name: str) -> str:
    return ".".join("zz" if word in ("*", "#") else word for word in name.split("."))


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "unregistered-task": (_code_missing,),
    "group-without-code": (_group_without_it,),
    "unrouted-task": (_not_in_the_topology,),
    "contradicting-attribute": (_says_otherwise,),
}
