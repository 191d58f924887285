"""Slips in what is written where: options that lack, contradict one another, or cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from planted.options import each
from planted.slip import Planting, Slip, with_queue
from planted.sound import Document, Sound

_LONG = 256


def _name_left_out(base: Sound) -> Iterator[Slip]:
    document = base.changed()
    del document["topology"]
    yield "lacks `topology`", document
    for group in base.document["workers"]:
        document = base.changed()
        del document["workers"][group]["queues"]
        yield f"`{group}` lacks `queues`", document


def _misnamed(base: Sound) -> Iterator[Slip]:
    for name in ("My Topology", "9lives", "a-b"):
        document = base.changed()
        document["topology"] = name
        yield f"`{name}`", document


def _renamed(about: str, name: str, *sections: str) -> Planting:
    """Something in some sections of the file gets another name."""

    def planting(base: Sound) -> Iterator[Slip]:
        for section in sections:
            document = base.changed()
            document[section][name] = {"exchange": "amq.fanout"} if section == "tasks" else {}
            yield about, document

    planting.__name__ = f"{'_'.join(sections)}_named"
    return planting


def _long_key(base: Sound) -> Iterator[Slip]:
    for section, name, place, _ in base.bindings("topic", "direct"):
        document = base.changed()
        document[section][name]["bindings"][place]["binding_key"] = "z" * _LONG
        yield f"the binding key `{'z' * 20}...`", document


def _said_twice(base: Sound) -> Iterator[Slip]:
    for name in base.document["queues"]:
        document = base.changed()
        queue = document["queues"][name]
        queue["max_length"] = 5
        queue.setdefault("arguments", {})["x-max-length"] = 6
        yield "`x-max-length`", document


def _bound_in_two_ways(base: Sound) -> Iterator[Slip]:
    for section, name, _, binding in base.bindings("topic", "direct"):
        if section == "queues":
            document = base.changed()
            document["queues"][name] |= {"exchange": binding["exchange"], "binding_key": "zz"}
            yield f"queue `{name}`", document


def _bound_to_nothing(base: Sound) -> Iterator[Slip]:
    yield "`extra`", with_queue(base, {"binding_key": "zz"})


def _bound_to_the_default(base: Sound) -> Iterator[Slip]:
    yield "default exchange", with_queue(base, {"exchange": "", "binding_key": "zz"})


def _without(option: str, about: str) -> Planting:
    """A task lacks what it needs, and `defaults` have none of it."""

    def planting(base: Sound) -> Iterator[Slip]:
        for task in base.tasks():
            document = _spelt_out(base, option)
            document["tasks"][task.name].pop(option)
            yield about.replace("NAME", task.name), document

    planting.__name__ = f"without_{option}"
    return planting


def _spelt_out(base: Sound, option: str) -> Document:
    """The document with one option of `defaults` at every task instead."""
    document = base.changed()
    defaults = document.get("defaults", {})
    if option in defaults:
        value = defaults.pop(option)
        for task in document["tasks"].values():
            task.setdefault(option, value)
    return document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "missing-key": (
        _name_left_out,
        each("queues", "dead_letter", {"routing_key": "zz"}, "lacks `exchange`"),
    ),
    "wrong-type": (
        each("queues", "max_length", "5", "`max_length` is the text `5`"),
        each("workers", "queues", "zz", "`queues` is the text `zz`"),
    ),
    "malformed-duration": (each("queues", "message_ttl", "5 minutes", "`5 minutes`"),),
    "malformed-name": (_misnamed,),
    "reserved-header": (each("tasks", "headers", {"id": 5}, "header `id` of task `NAME`"),),
    "reserved-name": (_renamed("`amq.zz` is reserved", "amq.zz", "exchanges", "queues"),),
    "control-character-in-name": (_renamed("U+000A", "z\nz", "exchanges", "queues", "tasks"),),
    "name-too-long": (
        _renamed("has 256 bytes", "z" * _LONG, "exchanges", "queues"),
        _renamed("has 256 bytes", "ß" * (_LONG // 2), "exchanges", "queues"),
        _long_key,
    ),
    "argument-given-twice": (_said_twice,),
    "two-binding-forms": (_bound_in_two_ways,),
    "binding-without-exchange": (_bound_to_nothing,),
    "default-exchange-binding": (_bound_to_the_default,),
    "task-without-exchange": (_without("exchange", "task `NAME`"),),
    "task-without-routing-key": (_without("routing_key", "task `NAME`"),),
}
