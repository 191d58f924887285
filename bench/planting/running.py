"""Slips in how tasks are sent and who runs them, and in what the target can do."""

from __future__ import annotations

from collections.abc import Iterator

from brute_force import BruteForce

from planting.slips import Planting, Slip, works
from planting.sound_topologies import Document, Sound

_HARMLESS = ("json", "msgpack", "yaml")  # what a group reads that says nothing


def _alone(base: Sound) -> Iterator[tuple[str, str]]:
    """The tasks that brute force sends to one work queue, and that queue."""
    slow = BruteForce(base.topology)
    for task in base.tasks():
        queues = slow.queues(task.exchange.name, task.routing_key, dict(task.headers))
        working = works(queues, base.topology)
        if len(working) == 1 and not task.is_pattern:
            yield task.name, working.pop()


def _readers(document: Document, queue: str) -> list[str]:
    return [name for name, group in document["workers"].items() if queue in group["queues"]]


def _serializer_nobody_reads(base: Sound) -> Iterator[Slip]:
    for task, queue in _alone(base):
        document = base.whole
        readers = [document["workers"][name] for name in _readers(document, queue)]
        if any("pickle" not in it.get("accept", _HARMLESS) for it in readers):
            document["tasks"][task]["serializer"] = "pickle"
            yield f"`{task}`", document


def _serializer_misspelt(base: Sound) -> Iterator[Slip]:
    for name in base.whole["tasks"]:
        document = base.whole
        document["tasks"][name]["serializer"] = "jsn"
        yield f"`{name}`", document
    for group in base.whole["workers"]:
        document = base.whole
        document["workers"][group]["accept"] = ["json", "msgpack", "pickle", "yml"]
        yield f"`{group}`", document


def _priority_on_a_quorum_queue(base: Sound) -> Iterator[Slip]:
    if base.topology.target.startswith("rabbitmq-3"):
        for task, queue in _alone(base):
            if base.topology.queues[queue].type == "quorum":
                document = base.whole
                document["tasks"][task]["priority"] = 3
                yield f"`{task}`", document


def _header_of_the_protocol(base: Sound) -> Iterator[Slip]:
    for task in base.whole["tasks"]:
        document = base.whole
        document["tasks"][task].setdefault("headers", {})["eta"] = "soon"
        yield "`eta`", document


def _tap_consumed(base: Sound) -> Iterator[Slip]:
    for name, queue in base.topology.queues.items():
        if queue.tap and base.whole["workers"]:
            document = base.whole
            next(iter(document["workers"].values()))["queues"].append(name)
            yield f"`{name}`", document


def _all_queues_watch(base: Sound) -> Iterator[Slip]:
    """The only work queue of a task becomes a tap."""
    for task, queue in _alone(base):
        document = base.changed()
        document["queues"][queue]["tap"] = True
        groups = document["workers"].values()
        for group in groups:
            group["queues"] = [name for name in group["queues"] if name != queue]
        document["workers"] = {k: v for k, v in document["workers"].items() if v["queues"]}
        yield f"`{task}`", document


def _queue_listed_twice(base: Sound) -> Iterator[Slip]:
    for group, its in base.whole["workers"].items():
        document = base.whole
        document["workers"][group]["queues"].append(its["queues"][0])
        yield f"`{its['queues'][0]}`", document


def _binding_no_task_needs(base: Sound) -> Iterator[Slip]:
    """A work queue is bound with a key that brute force finds no task for."""
    leading = {queue.dead_letter_exchange for queue in base.topology.queues.values()}
    leading |= {it.alternate_exchange for it in base.topology.every_exchange()}
    leading |= {
        binding.source.name for binding in base.topology.bindings if "{" in binding.source.name
    }
    for task, queue in _alone(base):
        exchange = base.topology.tasks[task].exchange
        if exchange.name in leading or exchange.name not in base.document["exchanges"]:
            continue
        document = base.changed()
        binding = {"exchange": exchange.name, "binding_key": "zz.never"}
        document["queues"][queue].setdefault("bindings", []).append(binding)
        yield "`zz.never`", document


def _wait_for_nothing(base: Sound) -> Iterator[Slip]:
    """A queue whose messages expire to go on loses its time to live."""
    consumed = {name for group in base.whole["workers"].values() for name in group["queues"]}
    for name, queue in base.whole["queues"].items():
        on = queue and "message_ttl" in queue and "dead_letter" in queue
        if on and name not in consumed and not queue.get("tap"):
            document = base.whole
            document["queues"][name].pop("message_ttl")
            yield f"`{name}`", document


def _dead_letter_key_alone(base: Sound) -> Iterator[Slip]:
    for name, queue in base.whole["queues"].items():
        if queue and "dead_letter" not in queue and queue.get("type") != "stream":
            document = base.whole
            document["queues"][name]["arguments"] = {"x-dead-letter-routing-key": "zz"}
            yield f"`{name}`", document


def _at_least_once_in_vain(base: Sound) -> Iterator[Slip]:
    for name, queue in base.whole["queues"].items():
        if (queue or {}).get("type") == "quorum" and queue.get("overflow") != "reject-publish":
            document = base.whole
            document["queues"][name]["dead_letter_strategy"] = "at-least-once"
            yield f"`{name}`", document


# What the target cannot do


def _older_broker(base: Sound) -> Iterator[Slip]:
    types = {queue.type for queue in base.topology.queues.values()}
    for target, feature, kind in (
        ("rabbitmq-3.7", "x-queue-type: quorum", "quorum"),
        ("rabbitmq-3.8", "x-queue-type: stream", "stream"),
    ):
        if kind in types:
            yield f"`{feature}`", {**base.whole, "target": target}


def _transient_on_a_newer_broker(base: Sound) -> Iterator[Slip]:
    for name, queue in base.topology.queues.items():
        if queue.type == "classic" and base.topology.target.startswith("rabbitmq"):
            document = {**base.whole, "target": "rabbitmq-4.3"}
            document["queues"][name] = {**(document["queues"][name] or {}), "durable": False}
            yield f"`{name}`", document


def _virtual_transport(base: Sound) -> Iterator[Slip]:
    """kombu plays the broker, and lacks a kind of exchange, of binding, or of pattern."""
    document = {**base.whole, "target": "memory"}
    topology = base.topology_as_written
    headers = [it.name for it in topology.exchanges.values() if it.type == "headers"]
    if headers:
        yield "has no headers exchanges", document
    if any(exchange.alternate_exchange for exchange in topology.exchanges.values()):
        yield "has no alternate exchanges", document
    if topology.policies:
        yield "has no policies", document
    for binding in topology.bindings:
        *literal, last = binding.key.split(".")
        if (
            binding.source.type == "topic"
            and literal
            and last == "#"
            and not {"*", "#"} & set(literal)
        ):
            yield f"`{binding.key}` does not match `{binding.key[:-2]}`", document
            break


def _sizes_and_signs(base: Sound) -> Iterator[tuple[str, str, Document]]:
    """Names that no queue can have: the code, what it is about, and the topology."""
    for code, about, name in (
        ("name-too-long", f"`{'q' * 20}", "q" * 256),
        ("reserved-name", "`amq.zz`", "amq.zz"),
        ("control-character-in-name", "U+0007", "bell\7"),
    ):
        document = base.whole
        document["queues"][name] = {"tap": True}
        yield code, about, document


def _named(code: str) -> Planting:
    def planting(base: Sound) -> Iterator[Slip]:
        for found, about, document in _sizes_and_signs(base):
            if found == code:
                yield about, document

    planting.__name__ = code.replace("-", "_")
    return planting


PLANTINGS: tuple[tuple[str, Planting], ...] = (
    ("serializer-not-accepted", _serializer_nobody_reads),
    ("unknown-serializer", _serializer_misspelt),
    ("priority-without-effect", _priority_on_a_quorum_queue),
    ("reserved-header", _header_of_the_protocol),
    ("tap-in-worker-group", _tap_consumed),
    ("task-without-work-queue", _all_queues_watch),
    ("repeated-queue", _queue_listed_twice),
    ("dead-binding", _binding_no_task_needs),
    ("wait-without-end", _wait_for_nothing),
    ("dead-letter-key-without-exchange", _dead_letter_key_alone),
    ("dead-letters-not-at-least-once", _at_least_once_in_vain),
    ("unsupported-by-target", _older_broker),
    ("unsupported-by-target", _transient_on_a_newer_broker),
    ("unsupported-by-target", _virtual_transport),
    ("name-too-long", _named("name-too-long")),
    ("reserved-name", _named("reserved-name")),
    ("control-character-in-name", _named("control-character-in-name")),
)
