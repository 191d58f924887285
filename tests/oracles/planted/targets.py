"""Slips in what a topology is compiled for: what its broker cannot do, or does not heed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from brute_force import topic_matches

from planted.oracle import reached, works
from planted.slip import Planting, Slip, with_queue
from planted.sound import Document, Sound, topology_of

_VIRTUAL = ("redis", "memory")


def _not_on_virtual(base: Sound) -> Iterator[Slip]:
    """What kombu's transports do not have."""
    for target in _VIRTUAL:
        document = _for(base, target)
        for exchange in document["exchanges"].values():
            if exchange.get("type") == "headers":
                yield f"`{target}` has no headers exchanges", document
            if "alternate_exchange" in exchange:
                yield f"`{target}` has no alternate exchanges", document
            if exchange.get("bindings"):
                yield f"`{target}` has no bindings between exchanges", document


def _fewer_keys_on_virtual(base: Sound) -> Iterator[Slip]:
    """A `#` besides words, which takes no word on RabbitMQ and takes one with kombu."""
    for _, _, _, binding in base.bindings("topic"):
        key = binding["binding_key"]
        without = ".".join(word for word in key.split(".") if word != "#")
        plain = without and "*" not in key and key != without
        if plain and topic_matches(key, without):
            for target in _VIRTUAL:
                yield f"`{key}` does not match `{without}` on `{target}`", _for(base, target)


def _arguments_on_virtual(base: Sound) -> Iterator[Slip]:
    for name in base.document["queues"]:
        for target in _VIRTUAL:
            document = _for(base, target)
            arguments = document["queues"][name].setdefault("arguments", {})
            if "single_active_consumer" not in document["queues"][name]:
                arguments["x-single-active-consumer"] = True
                yield f"`x-single-active-consumer` of queue `{name}` has no effect", document


def _any_queue_on_virtual(base: Sound) -> Iterator[Slip]:
    """A placeholder that may be any word decides between queues."""
    for task in base.tasks():
        queues = works(reached(base.document, task.name), base.topology)
        last = task.routing_key.rpartition(".")[0]
        if task.exchange.type != "topic" or not last or task.is_pattern or not queues:
            continue
        binding = {"exchange": task.exchange.name, "binding_key": f"{last}.zz"}
        document = with_queue(base, {"bindings": [binding]})
        document["target"] = "memory"
        document["tasks"][task.name]["routing_key"] = f"{last}.zz"
        if works(reached(document, task.name), topology_of(document)) != queues:
            document["tasks"][task.name]["routing_key"] = f"{last}.{{zz}}"
            yield f"task `{task.name}` depends on a placeholder that may be any word", document


def _before(target: str, about: str, **options: object) -> Callable[[Sound], Iterator[Slip]]:
    """Queues get options that came after a release of RabbitMQ."""

    def planting(base: Sound) -> Iterator[Slip]:
        for name, queue in base.document["queues"].items():
            document = _for(base, target)
            kept = {key: queue[key] for key in ("bindings", "tap", "dead_letter") if key in queue}
            document["queues"][name] = {**kept, **options}
            yield about, document

    planting.__name__ = f"before_{'_'.join(options)}"
    return planting


def _match_before(base: Sound) -> Iterator[Slip]:
    for section, name, place, _ in base.bindings("headers"):
        for how in ("all-with-x", "any-with-x"):
            document = _for(base, "rabbitmq-3.9")
            arguments = document[section][name]["bindings"][place].setdefault("arguments", {})
            arguments["x-match"] = how
            yield f"`x-match: {how}` came with RabbitMQ 3.10", document


def _transient_after(base: Sound) -> Iterator[Slip]:
    for name, queue in base.document["queues"].items():
        for target in ("rabbitmq-4.3", "rabbitmq-4.x"):
            if queue.get("type", "classic") == "classic":
                document = _for(base, target)
                document["queues"][name]["durable"] = False
                yield f"queue `{name}` is not durable", document


def _priority_in_turn(base: Sound) -> Iterator[Slip]:
    """A task with a priority of its own reaches a quorum queue of a RabbitMQ before 4.0."""
    for task in base.tasks():
        for name in works(reached(base.document, task.name), base.topology):
            for kind in ("quorum", "stream"):
                document = _for(base, "rabbitmq-3.12")
                bindings = document["queues"][name]["bindings"]
                document["queues"][name] = {"type": kind, "bindings": bindings}
                document["tasks"][task.name]["priority"] = 1
                yield f"task `{task.name}` has a priority", document


def _unknown_target(base: Sound) -> Iterator[Slip]:
    for target in ("rabbitmq-2", "rabitmq-3.10", "kafka"):
        yield f"`{target}`", _for(base, target)


def _for(base: Sound, target: str) -> Document:
    document = base.changed()
    document["target"] = target
    return document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "unsupported-by-target": (
        _not_on_virtual,
        _fewer_keys_on_virtual,
        _arguments_on_virtual,
        _any_queue_on_virtual,
        _before("rabbitmq-3.7", "`x-queue-type: quorum` came with", type="quorum"),
        _before("rabbitmq-3.8", "`x-queue-type: stream` came with", type="stream"),
        _before(
            "rabbitmq-3.9",
            "`x-message-ttl on a quorum queue` came with",
            type="quorum",
            message_ttl="5s",
        ),
        _before(
            "rabbitmq-3.9",
            "`x-dead-letter-strategy: at-least-once` came with",
            type="quorum",
            dead_letter_strategy="at-least-once",
        ),
        _before(
            "rabbitmq-3.7", "`x-single-active-consumer` came with", single_active_consumer=True
        ),
        _match_before,
        _transient_after,
    ),
    "priority-without-effect": (_priority_in_turn,),
    "unknown-target": (_unknown_target,),
}
