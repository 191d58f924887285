"""Slips in routing keys that depend on the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from brute_force import BruteForce

from planted.oracle import works
from planted.slip import Planting, Slip, with_queue
from planted.sound import Document, Sound, topology_of
from routewright.compiler.model.topology import Task


def _value_that_is_lost(base: Sound) -> Iterator[Slip]:
    """One of the listed values makes a key that reaches no queue."""
    for task, place in _words(base):
        lost = _put(task, place, "zznever")
        if not _queues(base.document, task, lost):
            word = task.routing_key.split(".")[place]
            document = _with_placeholder(base, task, place, {"zz": [word, "zznever"]})
            yield f"`{lost}`", document


def _any_word(base: Sound) -> Iterator[Slip]:
    """Some words make a key that reaches no queue, and any word is allowed."""
    for task, place in _words(base):
        if not _queues(base.document, task, _put(task, place, "zznever")):
            document = _with_placeholder(base, task, place, {})
            yield f"exchange `{task.exchange.name}`", document


def _value_that_runs_twice(base: Sound) -> Iterator[Slip]:
    """Another work queue is bound with the key that one of the listed values makes."""
    for task, place, document in _bound_twice(base):
        word = task.routing_key.split(".")[place]
        _change(document, task, place, {"zz": [word, "zztwice"]})
        yield f"`{_put(task, place, 'zztwice')}`", document


def _any_word_runs_twice(base: Sound) -> Iterator[Slip]:
    for task, place, document in _bound_twice(base):
        _change(document, task, place, {})
        yield f"`{task.name}`", document


def _bound_twice(base: Sound) -> Iterator[tuple[Task, int, Document]]:
    """Documents in which a key of a task, with `zztwice` at some place, reaches two work queues."""
    for task, place in _words(base):
        twice = _put(task, place, "zztwice")
        binding = {"exchange": task.exchange.name, "binding_key": twice}
        document = with_queue(base, {"bindings": [binding]})
        if not task.multicast and len(_works(document, task, twice)) > 1:
            yield task, place, document


def _own_name_is_lost(base: Sound) -> Iterator[Slip]:
    for task in base.tasks():
        key = f"zz.{task.name}"
        if task.exchange.type == "topic" and not _queues(base.document, task, key):
            document = base.changed()
            document["tasks"][task.name]["routing_key"] = "zz.{task}"
            yield f"`{key}`" if not task.is_pattern else f"`{task.exchange.name}`", document


def _part_of_a_word(base: Sound) -> Iterator[Slip]:
    for task, place in _words(base):
        document = base.changed()
        document["tasks"][task.name]["routing_key"] = _put(task, place, "x-{zz}")
        yield "`x-{zz}`", document


def _not_in_the_key(base: Sound) -> Iterator[Slip]:
    for task, _ in _words(base):
        document = base.changed()
        document["tasks"][task.name].setdefault("parameters", {})["zzz"] = ["a"]
        yield "`{zzz}`", document


def _no_word(base: Sound) -> Iterator[Slip]:
    for task, place in _words(base):
        for value in ("a.b", "*", ""):
            yield f"`{value}`", _with_placeholder(base, task, place, {"zz": [value]})


def _words(base: Sound) -> Iterator[tuple[Task, int]]:
    """The tasks of topic exchanges, and a place in their keys."""
    for task in base.tasks():
        if task.exchange.type == "topic" and task.routing_key and not task.is_pattern:
            for place in range(len(task.routing_key.split("."))):
                yield task, place


def _put(task: Task, place: int, word: str) -> str:
    words = task.routing_key.split(".")
    return ".".join([*words[:place], word, *words[place + 1 :]])


def _with_placeholder(base: Sound, task: Task, place: int, values: dict[str, Any]) -> Document:
    document = base.changed()
    _change(document, task, place, values)
    return document


def _change(document: Document, task: Task, place: int, values: dict[str, Any]) -> None:
    its = document["tasks"][task.name]
    its["routing_key"] = _put(task, place, "{zz}")
    if values:
        its["parameters"] = values


def _queues(document: Document, task: Task, key: str) -> set[str]:
    slow = BruteForce(topology_of(document))
    return slow.queues(task.exchange.name, key, dict(task.headers))


def _works(document: Document, task: Task, key: str) -> set[str]:
    return works(_queues(document, task, key), topology_of(document))


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "unroutable-task": (
        _value_that_is_lost,
        _any_word,
        _own_name_is_lost,
    ),
    "task-delivered-more-than-once": (
        _value_that_runs_twice,
        _any_word_runs_twice,
    ),
    "malformed-placeholder": (_part_of_a_word,),
    "unused-parameter": (_not_in_the_key,),
    "malformed-parameter": (_no_word,),
}
