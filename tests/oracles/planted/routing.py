"""Slips in what decides where a task goes: keys, bindings, queues and exchanges."""

from __future__ import annotations

from collections.abc import Iterator

from brute_force import BruteForce

from planted.oracle import reached, works
from planted.slip import Planting, Slip, with_queue
from planted.sound import Document, Sound, topology_of
from routewright.compiler.model.topology import Task

_WORDS = 18  # 2 ** 18 sets of them, and 200,000 are looked at


def _key_misspelt(base: Sound) -> Iterator[Slip]:
    """The first word of a task's key is wrong, and no binding matches."""
    for task, document in _misspelt(base):
        if not reached(document, task.name):
            yield f"`zz{task.routing_key}`", document


def _key_misspelt_and_caught(base: Sound) -> Iterator[Slip]:
    """The same, where an alternate exchange takes every key."""
    for task, document in _misspelt(base):
        exchange = document["exchanges"].get(task.exchange.name)
        if exchange is None:
            continue
        if "alternate_exchange" not in exchange:
            exchange["alternate_exchange"] = "caught"
            document["exchanges"]["caught"] = {"type": "fanout"}
            document["queues"]["caught"] = {"bindings": [{"exchange": "caught"}], "tap": True}
        topology = topology_of(document)
        where = (task.exchange.name, f"zz{task.routing_key}", dict(task.headers))
        slow = BruteForce(topology)
        if slow.queues(*where) and slow.by_alternate(*where):
            yield f"`zz{task.routing_key}`", document


def _misspelt(base: Sound) -> Iterator[tuple[Task, Document]]:
    for task in base.tasks():
        document = base.changed()
        document["tasks"][task.name]["routing_key"] = f"zz{task.routing_key}"
        yield task, document


def _binding_lost(base: Sound) -> Iterator[Slip]:
    """A binding is taken away that a task needs."""
    for section, name, place, _ in base.bindings("topic", "direct", "fanout", "headers"):
        document = base.changed()
        del document[section][name]["bindings"][place]
        for task in base.tasks():
            if reached(base.document, task.name) and not reached(document, task.name):
                yield f"`{task.routing_key}`", document
                break


def _second_queue(base: Sound) -> Iterator[Slip]:
    """Another work queue is bound with the key of a task."""
    for task in base.tasks():
        if not task.multicast and works(reached(base.document, task.name), base.topology):
            binding = {"exchange": task.exchange.name, "binding_key": task.routing_key}
            yield f"`{task.name}`", with_queue(base, {"bindings": [binding]})


def _binding_widened(base: Sound) -> Iterator[Slip]:
    """A binding key of one work queue becomes `#`, and the tasks of another reach it too."""
    for section, name, place, _ in base.bindings("topic"):
        document = base.changed()
        document[section][name]["bindings"][place]["binding_key"] = "#"
        topology = topology_of(document)
        twice = [
            task.name
            for task in base.tasks()
            if not task.multicast and len(works(reached(document, task.name), topology)) > 1
        ]
        if twice:
            yield f"`{twice[0]}`", document


def _crossing_pattern(base: Sound) -> Iterator[Slip]:
    """Another work queue is bound with a pattern that crosses one there is: `a.#` and `*.zz`."""
    sent_to = {task.exchange.name for task in base.topology.tasks.values()}
    for section, name, _, binding in base.bindings("topic"):
        first, *rest = binding["binding_key"].split(".")
        exchange = binding["exchange"]
        if section != "queues" or base.topology.queues[name].tap or exchange not in sent_to:
            continue
        if first in ("*", "#") or not {"*", "#"} & set(rest):
            continue
        crossing = ".".join(["*", *("zz" if it in ("*", "#") else it for it in rest)])
        tasks = [it for it in base.topology.tasks.values() if it.exchange.name == exchange]
        if not any(_may_be(crossing, task.routing_key) for task in tasks):
            new = {"exchange": exchange, "binding_key": crossing}
            yield "`extra`", with_queue(base, {"bindings": [new]})


def _may_be(pattern: str, key: str) -> bool:
    """Whether a key that may have placeholders can be one that matches a pattern without `#`."""
    parts, words = pattern.split("."), key.split(".")
    return len(parts) == len(words) and all(
        part in ("*", word) or word.startswith("{") for part, word in zip(parts, words, strict=True)
    )


def _narrower_beside(base: Sound) -> Iterator[Slip]:
    """A destination gets a second binding, narrower than the one it has."""
    for section, name, _, binding in base.bindings("topic"):
        words = binding["binding_key"].split(".")
        narrower = ".".join("zz" if it == "*" else "zz.yy" if it == "#" else it for it in words)
        if narrower != binding["binding_key"]:
            document = base.changed()
            more = {**binding, "binding_key": narrower}
            document[section][name]["bindings"].append(more)
            yield f"`{narrower}`", document


def _covered_by_several(base: Sound) -> Iterator[Slip]:
    """`a.#` is parted by length, and beside the parts stands what only all of them cover."""
    for section, name, place, binding in base.bindings("topic"):
        stem, dot, last = binding["binding_key"].rpartition(".")
        if last != "#":
            continue
        document = base.changed()
        parts = [stem, f"{stem}{dot}*", f"{stem}{dot}*.*.#", f"{stem}{dot}#.zz"]
        bindings = document[section][name]["bindings"]
        bindings[place : place + 1] = [{**binding, "binding_key": key} for key in parts]
        yield f"`{parts[-1]}`", document


def _queue_without_binding(base: Sound) -> Iterator[Slip]:
    if base.topology.tasks:
        yield "`extra`", with_queue(base, {})
        document = with_queue(base, {"bindings": [{"exchange": "inside"}]})
        document["exchanges"]["inside"] = {"type": "fanout", "internal": True}
        yield "`extra`", document


def _queue_without_keys(base: Sound) -> Iterator[Slip]:
    """A queue stands behind an exchange that passes on no key which it takes, or nothing at all."""
    for task in base.tasks():
        if task.exchange.type == "topic" and task.exchange.name in base.document["exchanges"]:
            inside = {"type": "topic", "internal": True}
            document = with_queue(
                base, {"bindings": [{"exchange": "inside", "binding_key": "b.#"}]}
            )
            binding = {"exchange": task.exchange.name, "binding_key": "a.#"}
            document["exchanges"]["inside"] = {**inside, "bindings": [binding]}
            yield "`extra`", document
    if base.topology.tasks:
        document = with_queue(base, {"bindings": [{"exchange": "inside", "binding_key": "#"}]})
        document["exchanges"] |= {
            "outside": {"type": "fanout", "alternate_exchange": "inside"},
            "inside": {"type": "topic", "internal": True},
        }
        document["queues"]["taker"] = {"bindings": [{"exchange": "outside"}], "tap": True}
        yield "`extra`", document


def _exchange_without_use(base: Sound) -> Iterator[Slip]:
    for kind in ("topic", "direct", "fanout", "headers") if base.topology.tasks else ():
        document = base.changed()
        document["exchanges"]["idle"] = {"type": kind}
        yield "`idle`", document


def _binding_of_no_task(base: Sound) -> Iterator[Slip]:
    """A work queue gets a binding of an exchange that tasks are sent to, with nobody's key."""
    for section, name, _, binding in base.bindings("topic", "direct"):
        exchange = binding["exchange"]
        consumed = name in {it for it, _ in base.consumed()}
        tasks = [it for it in base.tasks() if it.exchange.name == exchange]
        others = {
            it.get("dead_letter", {}).get("exchange") for it in base.document["queues"].values()
        }
        others |= {it.alternate_exchange for it in base.topology.every_exchange()}
        if section == "queues" and consumed and tasks and exchange not in others:
            document = base.changed()
            more = {"exchange": exchange, "binding_key": "zz.never"}
            document["queues"][name]["bindings"].append(more)
            yield "`zz.never`", document


def _words_anywhere(base: Sound) -> Iterator[Slip]:
    """A task's exchange tells apart keys by which of many words are in them, anywhere."""
    for task in base.tasks() if base.name == "topology" else ():  # one takes half a minute
        if task.exchange.type == "topic" and task.exchange.name in base.document["exchanges"]:
            document = base.changed()
            keys = [f"#.z{number}.#" for number in range(_WORDS)]
            bindings = [{"exchange": task.exchange.name, "binding_key": key} for key in keys]
            for binding in bindings:
                document["queues"][f"w{binding['binding_key']}"] = {
                    "bindings": [binding],
                    "tap": True,
                }
            yield f"exchange `{task.exchange.name}`", document
            return


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "unroutable-task": (
        _key_misspelt,
        _binding_lost,
    ),
    "task-only-by-alternate-exchange": (_key_misspelt_and_caught,),
    "task-delivered-more-than-once": (
        _second_queue,
        _binding_widened,
    ),
    "overlapping-work-queues": (_crossing_pattern,),
    "shadowed-binding": (
        _narrower_beside,
        _covered_by_several,
    ),
    "unreachable-queue": (
        _queue_without_binding,
        _queue_without_keys,
    ),
    "dead-binding": (_binding_of_no_task,),
    "too-many-key-classes": (_words_anywhere,),
    "unused-exchange": (_exchange_without_use,),
}
