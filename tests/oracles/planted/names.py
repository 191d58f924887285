"""Slips in who is named where: exchanges, queues, worker groups."""

from __future__ import annotations

from collections.abc import Iterator

from brute_force import BruteForce

from planted.dead_letters import without_dead_letters
from planted.oracle import reached
from planted.slip import Planting, Slip
from planted.sound import Document, Sound


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
    found = BruteForce(base.topology).queues(dead["exchange"], dead["routing_key"], {})
    return any(name in found for name, _ in base.consumed())


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
    for name in without_dead_letters(base):
        document = base.changed()
        document["queues"][name]["dead_letter"] = {"exchange": "nowhere"}
        yield "`nowhere`", document
        break
    for name in base.topology.tasks:
        document = base.changed()
        document["tasks"][name]["exchange"] = "nowhere"
        yield "`nowhere`", document
        break


def _task_to_the_inside(base: Sound) -> Iterator[Slip]:
    for name in {task.exchange.name for task in base.tasks()} & base.document["exchanges"].keys():
        document = base.changed()
        document["exchanges"][name]["internal"] = True
        yield f"`{name}`", document


def _plugins_exchange_for_any_key(base: Sound) -> Iterator[Slip]:
    """The same, where the key has a placeholder."""
    for about, document in _plugins(base):
        task = document["tasks"][about.strip("`")]
        task["routing_key"] = "zz.{zz}"
        yield about, document


def _stream_for_work(base: Sound) -> Iterator[Slip]:
    for name, _ in base.consumed():
        document = base.changed()
        document["queues"][name] = {
            "type": "stream",
            "bindings": document["queues"][name]["bindings"],
        }
        yield f"`{name}`", document


def _plugins_exchange(base: Sound) -> Iterator[Slip]:
    """The exchange of a task becomes one of a plugin's type."""
    yield from _plugins(base)


def _plugins(base: Sound) -> Iterator[tuple[str, Document]]:
    for task in base.tasks():
        if task.exchange.name in base.document["exchanges"]:
            document = base.changed()
            document["exchanges"][task.exchange.name]["type"] = "x-jms-topic"
            yield f"`{task.name}`", document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "queue-without-worker": (_queue_not_consumed,),
    "undecided-route": (
        _plugins_exchange,
        _plugins_exchange_for_any_key,
    ),
    "publish-to-internal-exchange": (_task_to_the_inside,),
    "stream-as-work-queue": (_stream_for_work,),
    "unknown-queue": (_unknown_queue,),
    "unknown-exchange": (_unknown_exchange,),
}
