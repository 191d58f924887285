"""Slips in the names of tasks that are patterns."""

from __future__ import annotations

from collections.abc import Iterator

from brute_force import topic_matches

from planted.slip import Planting, Slip
from planted.sound import Document, Sound

_CROSSING = (("zz.*", "*.zz", "zz.zz"), ("yy.#", "#.zz", "yy.zz"), ("zz.*.#", "*.yy.*", "zz.yy.x"))
"""Two patterns, and a name that both match; neither matches all that the other does."""


def _crossing_names(base: Sound) -> Iterator[Slip]:
    for like in _declared(base):
        for one, other, name in _CROSSING:
            if topic_matches(one, name) and topic_matches(other, name):
                yield f"`{one}` and `{other}`", _named(base, like, one, other)


def _decided_in_part(base: Sound) -> Iterator[Slip]:
    """One name that both patterns match is a task of its own, and others are not."""
    for like in _declared(base):
        yield "`yy.#` and `#.zz`", _named(base, like, "yy.#", "#.zz", "yy.zz")


def _part_of_a_name(base: Sound) -> Iterator[Slip]:
    for like in _declared(base):
        for name in ("zz*", "a.zz#"):
            yield f"`{name.split('.')[-1]}`", _named(base, like, name)


def _name_that_is_lost(base: Sound) -> Iterator[Slip]:
    """The key of a pattern is made of the name, and no binding matches it."""
    first = {binding["binding_key"].split(".")[0] for *_, binding in base.bindings("topic")}
    for like in _declared(base):
        task = base.topology.tasks[like]
        declared = base.document["exchanges"].get(task.exchange.name, {})
        if task.exchange.type == "topic" and not first & {"#", "*"}:
            document = _named(base, like, "zz.*")
            document["tasks"]["zz.*"]["routing_key"] = "zz.{task}"
            if "alternate_exchange" not in declared:
                yield f"exchange `{task.exchange.name}`", document


def _own_name_twice(base: Sound) -> Iterator[Slip]:
    for like in _declared(base):
        document = _named(base, like, "zz.#")
        document["tasks"]["zz.#"]["routing_key"] = "{task}.{task}"
        yield "`{task}`", document


def _declared(base: Sound) -> Iterator[str]:
    """The tasks to make others after; none where a pattern has all names already."""
    patterns = {name for name in base.document["tasks"] if {"#", "*"} & set(name.split("."))}
    for task in base.tasks():
        if task.name not in patterns and not patterns & {"#", "*"}:
            yield task.name


def _named(base: Sound, like: str, *names: str) -> Document:
    """The document with further tasks that go where a given one goes."""
    document = base.changed()
    for name in names:
        document["tasks"][name] = dict(document["tasks"][like])
    return document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "ambiguous-task-name": (
        _crossing_names,
        _decided_in_part,
    ),
    "wildcard-inside-task-name": (_part_of_a_name,),
    "unroutable-task": (_name_that_is_lost,),
    "malformed-placeholder": (_own_name_twice,),
}
