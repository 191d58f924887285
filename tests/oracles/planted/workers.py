"""Slips in who reads what: worker groups, serializers, taps."""

from __future__ import annotations

from collections.abc import Iterator

from planted.oracle import reached, works
from planted.slip import Planting, Slip
from planted.sound import Sound, topology_of


def _sent_as_pickle(base: Sound) -> Iterator[Slip]:
    for name, group in _readers(base):
        if "pickle" not in base.document["workers"][group].get("accept", ()):
            document = base.changed()
            document["tasks"][name]["serializer"] = "pickle"
            yield f"task `{name}` is sent as pickle, and worker group `{group}`", document


def _read_no_more(base: Sound) -> Iterator[Slip]:
    """A group reads everything but what a task is sent as."""
    for name, group in _readers(base):
        serializer = base.topology.tasks[name].serializer
        document = base.changed()
        others = [it for it in ("json", "msgpack", "yaml") if it != serializer]
        document["workers"][group]["accept"] = others
        yield f"task `{name}` is sent as {serializer}, and worker group `{group}`", document


def _serializer_misspelt(base: Sound) -> Iterator[Slip]:
    for name in base.topology.tasks:
        document = base.changed()
        document["tasks"][name]["serializer"] = "jsn"
        yield f"task `{name}` is sent by `jsn`", document
    for group in base.document["workers"]:
        document = base.changed()
        document["workers"][group]["accept"] = ["json", "pickle", "yaml", "msgpack", "jsn"]
        yield f"worker group `{group}` reads `jsn`", document


def _tap_consumed(base: Sound) -> Iterator[Slip]:
    for group in base.document["workers"]:
        for name, queue in base.document["queues"].items():
            if queue.get("tap"):
                document = base.changed()
                document["workers"][group]["queues"].append(name)
                yield f"`{group}` consumes `{name}`", document


def _work_queue_becomes_a_tap(base: Sound) -> Iterator[Slip]:
    for group, its in base.document["workers"].items():
        for name in its["queues"]:
            document = base.changed()
            document["queues"][name]["tap"] = True
            yield f"`{group}` consumes `{name}`", document


def _only_watched(base: Sound) -> Iterator[Slip]:
    """All the work queues of a task become taps, and nobody consumes them."""
    for task in base.tasks():
        document = base.changed()
        for name in reached(document, task.name):
            document["queues"][name]["tap"] = True
            for group in document["workers"].values():
                group["queues"] = [it for it in group["queues"] if it != name]
        document["workers"] = {key: it for key, it in document["workers"].items() if it["queues"]}
        met = reached(document, task.name)
        if met and not works(met, topology_of(document)):
            yield f"task `{task.name}`", document


def _parking_consumed(base: Sound) -> Iterator[Slip]:
    for group, its in base.document["workers"].items():
        document = base.changed_whole()
        document["parking"] = its["queues"][0]
        yield f"`{group}` consumes `{its['queues'][0]}`", document


def _acknowledged_never(base: Sound) -> Iterator[Slip]:
    for name in base.topology.tasks:
        document = base.changed()
        document["tasks"][name]["acknowledge"] = "never"
        yield "`never`", document


def _soft_limit_after_the_hard_one(base: Sound) -> Iterator[Slip]:
    for name in base.topology.tasks:
        document = base.changed()
        document["tasks"][name] |= {"soft_time_limit": "10s", "time_limit": "10s"}
        yield f"`{name}`", document


def _listed_twice(base: Sound) -> Iterator[Slip]:
    for group, its in base.document["workers"].items():
        document = base.changed()
        document["workers"][group]["queues"].append(its["queues"][0])
        yield f"worker group `{group}` lists `{its['queues'][0]}` twice", document


def _readers(base: Sound) -> Iterator[tuple[str, str]]:
    """The tasks that are routed by a key that is written out, and a group that gets them."""
    for task in base.tasks():
        queues = reached(base.document, task.name)
        for group, its in base.document["workers"].items():
            if not queues.isdisjoint(its["queues"]):
                yield task.name, group


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "serializer-not-accepted": (
        _sent_as_pickle,
        _read_no_more,
    ),
    "unknown-serializer": (_serializer_misspelt,),
    "tap-in-worker-group": (
        _tap_consumed,
        _work_queue_becomes_a_tap,
    ),
    "task-without-work-queue": (_only_watched,),
    "repeated-queue": (_listed_twice,),
    "parking-in-worker-group": (_parking_consumed,),
    "malformed-acknowledge": (_acknowledged_never,),
    "soft-limit-without-effect": (_soft_limit_after_the_hard_one,),
}
