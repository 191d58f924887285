"""Slips in names, options and values: what is written is not what may be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from brute_force import BruteForce

from planting.slips import Planting, Slip, bound, reached
from planting.sound_topologies import Document, Sound


def _queue_not_consumed(base: Sound) -> Iterator[Slip]:
    working = {name for task in base.tasks() for name in reached(base.document, task.name)}
    for name, queue in base.consumed():
        document = base.changed()
        groups = document["workers"]
        for group in groups.values():
            group["queues"] = [it for it in group["queues"] if it != name]
        document["workers"] = {key: it for key, it in groups.items() if it["queues"]}
        if name in working and document["workers"] and not _waiting(base, queue):
            yield f"`{name}`", document


def _waiting(base: Sound, queue: Document) -> bool:
    """Whether messages of a queue expire, and then come to one that is consumed."""
    dead = queue.get("dead_letter", {})
    if "message_ttl" not in queue or "routing_key" not in dead:
        return False
    reached = BruteForce(base.topology).queues(dead["exchange"], dead["routing_key"], {})
    return any(name in reached for name, _ in base.consumed())


def _unknown_queue(base: Sound) -> Iterator[Slip]:
    for group in base.document["workers"]:
        document = base.changed()
        document["workers"][group]["queues"][0] += "x"
        yield f"`{document['workers'][group]['queues'][0]}`", document


def _unknown_exchange(base: Sound) -> Iterator[Slip]:
    for section, name, place, binding in base.bindings("topic", "direct", "fanout", "headers"):
        document = base.changed()
        document[section][name]["bindings"][place]["exchange"] += "x"
        yield f"`{binding['exchange']}x`", document
    for name in bound(base):
        document = base.changed()
        document["queues"][name]["dead_letter"] = {"exchange": "nowhere"}
        yield "`nowhere`", document
        break
    for name in base.topology.tasks:
        document = base.changed()
        document["tasks"][name]["exchange"] = "nowhere"
        yield "`nowhere`", document
        break


def _each(section: str, option: str, value: Any, about: str) -> Callable[[Sound], Iterator[Slip]]:
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


def _pattern_for_a_key(base: Sound) -> Iterator[Slip]:
    for task in base.tasks():
        document = base.changed()
        key = f"{task.routing_key.split('.')[0]}.#"
        document["tasks"][task.name]["routing_key"] = key
        yield f"`{key}`", document


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


def _task_to_the_inside(base: Sound) -> Iterator[Slip]:
    for name in {task.exchange.name for task in base.tasks()} & base.document["exchanges"].keys():
        document = base.changed()
        document["exchanges"][name]["internal"] = True
        yield f"`{name}`", document


def _stream_for_work(base: Sound) -> Iterator[Slip]:
    for name, _ in base.consumed():
        document = base.changed()
        document["queues"][name] = {
            "type": "stream",
            "bindings": document["queues"][name]["bindings"],
        }
        yield f"`{name}`", document


PLANTINGS: tuple[tuple[str, Planting], ...] = (
    ("queue-without-worker", _queue_not_consumed),
    ("publish-to-internal-exchange", _task_to_the_inside),
    ("stream-as-work-queue", _stream_for_work),
    ("unknown-queue", _unknown_queue),
    ("unknown-exchange", _unknown_exchange),
    ("unknown-exchange-type", _each("exchanges", "type", "topics", "`topics`")),
    ("unknown-key", _each("queues", "mesage_ttl", "5s", "`mesage_ttl`")),
    ("unknown-key", _each("tasks", "routingkey", "a.b", "`routingkey`")),
    ("out-of-range", _each("tasks", "priority", 11, "")),
    ("duration-without-unit", _each("queues", "message_ttl", 60, "")),
    ("unknown-argument", _argument("x-message-tll", 5, "classic", "quorum")),
    ("wrong-argument-type", _argument("x-max-length", "5", "classic", "quorum")),
    ("wrong-argument-value", _argument("x-overflow", "drop-tail", "classic", "quorum")),
    ("unsupported-by-queue-type", _argument("x-delivery-limit", 5, "classic")),
    ("unsupported-by-queue-type", _argument("x-max-priority", 5, "quorum", "stream")),
    ("wildcard-in-routing-key", _pattern_for_a_key),
    (
        "wildcard-inside-word",
        _in_bindings("binding_key", lambda key: f"{key}.zz*", "`zz*`", "topic"),
    ),
    ("literal-wildcard", _in_bindings("binding_key", lambda key: f"{key}.#", "`NEW`", "direct")),
    (
        "ignored-binding-key",
        _in_bindings("binding_key", lambda _: "zz", "`zz`", "fanout", "headers"),
    ),
    (
        "ignored-binding-arguments",
        _in_bindings("arguments", lambda _: {"zz": 1}, "`SOURCE`", "topic", "direct", "fanout"),
    ),
    (
        "malformed-x-match",
        _in_bindings("arguments", lambda it: {**it, "x-match": "some"}, "`some`", "headers"),
    ),
    ("missing-binding-key", _key_left_out),
    ("duplicate-binding", _binding_repeated),
)
