"""Slips in the options of exchanges, queues, bindings and tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from planted.slip import Planting, Slip
from planted.sound import Sound


def each(section: str, option: str, value: Any, about: str) -> Callable[[Sound], Iterator[Slip]]:
    """The same option everywhere in a section; `NAME` in `about` is where."""

    def planting(base: Sound) -> Iterator[Slip]:
        for name in base.document[section]:
            document = base.changed()
            document[section][name][option] = value
            yield about.replace("NAME", name), document

    planting.__name__ = f"{section}_{option}"
    return planting


def _argument(name: str, value: Any, *types: str) -> Callable[[Sound], Iterator[Slip]]:
    """The same argument at every queue of some types."""

    def planting(base: Sound) -> Iterator[Slip]:
        for queue, its in base.document["queues"].items():
            if its.get("type", "classic") in types and name[2:].replace("-", "_") not in its:
                document = base.changed()
                arguments = document["queues"][queue].setdefault("arguments", {})
                arguments[name] = value
                yield f"`{name}`", document

    planting.__name__ = f"argument_{name}"
    return planting


def _in_bindings(
    option: str, value: Callable[[Any], Any], about: str, *types: str
) -> Callable[[Sound], Iterator[Slip]]:
    """An option of every binding of exchanges of some types changes."""

    def planting(base: Sound) -> Iterator[Slip]:
        for section, name, place, binding in base.bindings(*types):
            document = base.changed()
            new = value(binding.get(option))
            document[section][name]["bindings"][place][option] = new
            yield about.replace("NEW", str(new)).replace("SOURCE", binding["exchange"]), document

    planting.__name__ = f"binding_{option}"
    return planting


def _pattern_for_a_key(base: Sound) -> Iterator[Slip]:
    for task in base.tasks():
        document = base.changed()
        key = f"{task.routing_key.split('.')[0]}.#"
        document["tasks"][task.name]["routing_key"] = key
        yield f"`{key}`", document


def _key_left_out(base: Sound) -> Iterator[Slip]:
    for section, name, place, _ in base.bindings("topic", "direct"):
        document = base.changed()
        document[section][name]["bindings"][place].pop("binding_key")
        yield f"`{name}`", document


def _binding_repeated(base: Sound) -> Iterator[Slip]:
    for section, name, place, binding in base.bindings("topic", "direct", "fanout"):
        document = base.changed()
        document[section][name]["bindings"].insert(place, dict(binding))
        yield f"`{name}`", document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "unknown-exchange-type": (each("exchanges", "type", "topics", "`topics`"),),
    "unknown-key": (
        each("queues", "mesage_ttl", "5s", "`mesage_ttl`"),
        each("tasks", "routingkey", "a.b", "`routingkey`"),
    ),
    "out-of-range": (each("tasks", "priority", 11, ""),),
    "duration-without-unit": (each("queues", "message_ttl", 60, ""),),
    "unknown-argument": (_argument("x-message-tll", 5, "classic", "quorum"),),
    "wrong-argument-type": (_argument("x-max-length", "5", "classic", "quorum"),),
    "wrong-argument-value": (_argument("x-overflow", "drop-tail", "classic", "quorum"),),
    "unsupported-by-queue-type": (
        _argument("x-delivery-limit", 5, "classic"),
        _argument("x-max-priority", 5, "quorum", "stream"),
    ),
    "wildcard-in-routing-key": (_pattern_for_a_key,),
    "wildcard-inside-word": (
        _in_bindings("binding_key", lambda key: f"{key}.zz*", "`zz*`", "topic"),
    ),
    "literal-wildcard": (_in_bindings("binding_key", lambda key: f"{key}.#", "`NEW`", "direct"),),
    "ignored-binding-key": (
        _in_bindings("binding_key", lambda _: "zz", "`zz`", "fanout", "headers"),
    ),
    "ignored-binding-arguments": (
        _in_bindings("arguments", lambda _: {"zz": 1}, "`SOURCE`", "topic", "direct", "fanout"),
    ),
    "malformed-x-match": (
        _in_bindings("arguments", lambda it: {**it, "x-match": "some"}, "`some`", "headers"),
    ),
    "missing-binding-key": (_key_left_out,),
    "duplicate-binding": (_binding_repeated,),
}
