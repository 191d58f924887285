"""Slips in what becomes of the messages that a queue gives up on."""

from __future__ import annotations

from collections.abc import Iterator

from brute_force import BruteForce

from planted.oracle import reached
from planted.slip import Planting, Slip
from planted.sound import Document, Sound, topology_of


def _dead_letters_to_nothing(base: Sound) -> Iterator[Slip]:
    """A queue gets a dead-letter exchange that nothing is bound to with such a key."""
    for name in without_dead_letters(base):
        for keys in ((), ("never.zz",)):
            document = base.changed()
            document["queues"][name]["dead_letter"] = {"exchange": "graveyard"}
            document["exchanges"]["graveyard"] = {"type": "topic"}
            bindings = [{"exchange": "graveyard", "binding_key": key} for key in keys]
            document["queues"]["graves"] = {"bindings": bindings, "tap": True}
            if not keys:
                del document["queues"]["graves"]
            yield f"`{name}`", document


def _dead_letter_key_misspelt(base: Sound) -> Iterator[Slip]:
    for name, queue in base.document["queues"].items():
        dead = queue.get("dead_letter", {})
        if "routing_key" in dead and dead["exchange"]:
            document = base.changed()
            document["queues"][name]["dead_letter"]["routing_key"] = "zz.never"
            slow = BruteForce(topology_of(document))
            if not slow.queues(dead["exchange"], "zz.never", {}):
                yield f"`{name}`", document


def _key_lost_by_waiting(base: Sound) -> Iterator[Slip]:
    """Dead letters wait in a queue that they are sent to by its name, and have that key then."""
    for name in without_dead_letters(base):
        document = base.changed()
        document["queues"][name]["dead_letter"] = {"exchange": "", "routing_key": "zz.wait"}
        document["exchanges"]["graveyard"] = {"type": "direct"}
        document["queues"]["zz.wait"] = {
            "message_ttl": "30s",
            "dead_letter": {"exchange": "graveyard"},
            "tap": True,
        }
        bindings = [{"exchange": "graveyard", "binding_key": name}]
        document["queues"]["graves"] = {"bindings": bindings, "tap": True}
        yield "`zz.wait`", document


def _retried_for_ever(base: Sound) -> Iterator[Slip]:
    """The dead letters of a work queue wait elsewhere, and then come back."""
    for name, queue in base.consumed():
        if queue.get("type") == "stream":
            continue
        yield f"`{name}`", _waiting(base, name, {"exchange": "", "routing_key": name})


def _its_own_dead_letters(base: Sound) -> Iterator[Slip]:
    for name, queue in base.consumed():
        if queue.get("type") != "stream":
            document = base.changed()
            document["queues"][name]["dead_letter"] = {"exchange": "", "routing_key": name}
            yield f"`{name}`", document


def _waiting_in_turns(base: Sound) -> Iterator[Slip]:
    """The dead letters of a queue go to and fro between two that nobody consumes."""
    for name in without_dead_letters(base) if base.document["workers"] else ():
        document = base.changed()
        document["queues"][name]["dead_letter"] = {"exchange": "", "routing_key": "wait1"}
        for one, other in (("wait1", "wait2"), ("wait2", "wait1")):
            document["queues"][one] = {
                "message_ttl": "30s",
                "dead_letter": {"exchange": "", "routing_key": other},
                "tap": True,
            }
        yield "`wait1`", document


def _back_when(option: str, value: object, kind: str = "classic") -> Planting:
    """What a queue gives up on waits elsewhere, and comes back to be dropped.

    The queue that gives up is consumed by nobody, so that nobody rejects.
    """

    def planting(base: Sound) -> Iterator[Slip]:
        for name in without_dead_letters(base) if base.document["workers"] else ():
            document = base.changed()
            document["queues"][name]["dead_letter"] = {"exchange": "", "routing_key": "first"}
            document["queues"]["first"] = {
                "type": kind,
                option: value,
                "dead_letter": {"exchange": "", "routing_key": "second"},
                "tap": True,
            }
            document["queues"]["second"] = {
                "message_ttl": "30s",
                "dead_letter": {"exchange": "", "routing_key": "first"},
                "tap": True,
            }
            yield "`first`", document

    planting.__name__ = f"back_when_{option}"
    return planting


def _back_by_the_key(base: Sound) -> Iterator[Slip]:
    """A queue's dead letters wait, and come back to its exchange with the key they had."""
    for name, queue in base.consumed():
        if queue.get("type") == "stream" or not base.document["workers"]:
            continue
        for task in base.tasks():
            if reached(base.document, task.name) == {name} and task.exchange.type == "topic":
                yield f"`{name}`", _waiting(base, name, {"exchange": task.exchange.name})
                break


def _waiting_without_end(base: Sound) -> Iterator[Slip]:
    """Dead letters are to wait and go on, and nothing ends the waiting."""
    yield from _paused(base)


def _paused(base: Sound) -> Iterator[tuple[str, Document]]:
    for name in without_dead_letters(base) if base.document["workers"] else ():
        document = base.changed()
        document["exchanges"] |= {"pause": {"type": "fanout"}, "end": {"type": "fanout"}}
        document["queues"][name]["dead_letter"] = {"exchange": "pause"}
        document["queues"]["pause"] = {
            "bindings": [{"exchange": "pause"}],
            "dead_letter": {"exchange": "end"},
        }
        document["queues"]["end"] = {"bindings": [{"exchange": "end"}]}
        yield "queue `pause`", document


def _waiting_by_key(base: Sound) -> Iterator[Slip]:
    """The same, where the queue that nothing leaves takes keys by a pattern."""
    for about, document in _paused(base):
        document["exchanges"]["pause"]["type"] = "topic"
        document["queues"]["pause"]["bindings"][0]["binding_key"] = "pause.*.#"
        yield about, document


def _key_alone(base: Sound) -> Iterator[Slip]:
    """A key for dead letters that go nowhere."""
    for name in without_dead_letters(base):
        document = base.changed()
        arguments = document["queues"][name].setdefault("arguments", {})
        arguments["x-dead-letter-routing-key"] = "zz"
        yield f"`{name}`", document


def _at_most_once_after_all(base: Sound) -> Iterator[Slip]:
    """A quorum queue asks for dead letters at least once, and drops its oldest messages."""
    for name, queue in base.document["queues"].items():
        # A policy may say `overflow` for it.
        if queue.get("type") != "stream" and base.topology.queues[name].policy is None:
            document = base.changed()
            bindings = queue["bindings"]
            document["exchanges"]["end"] = {"type": "fanout"}
            document["queues"]["end"] = {"bindings": [{"exchange": "end"}], "tap": True}
            document["queues"][name] = {
                "type": "quorum",
                "bindings": bindings,
                "dead_letter": {"exchange": "end"},
                "dead_letter_strategy": "at-least-once",
            }
            yield f"`{name}`", document


def _waiting(base: Sound, name: str, dead_letter: Document) -> Document:
    """The document with the dead letters of a queue waiting for 30 s before they go on."""
    document = base.changed()
    document["queues"][name]["dead_letter"] = {"exchange": "again"}
    document["exchanges"]["again"] = {"type": "fanout"}
    document["queues"]["wait"] = {
        "bindings": [{"exchange": "again"}],
        "message_ttl": "30s",
        "dead_letter": dead_letter,
        "tap": True,
    }
    return document


def without_dead_letters(base: Sound) -> Iterator[str]:
    """The queues that something is bound to and that may have dead letters, but have none."""
    for name, queue in base.document["queues"].items():
        if queue["bindings"] and queue.get("type") != "stream" and "dead_letter" not in queue:
            yield name


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "dead-letter-goes-nowhere": (
        _dead_letters_to_nothing,
        _dead_letter_key_misspelt,
        _key_lost_by_waiting,
    ),
    "endless-dead-letter-loop": (
        _retried_for_ever,
        _its_own_dead_letters,
        _back_by_the_key,
    ),
    "dead-letter-loop-drops": (
        _waiting_in_turns,
        _back_when("max_length", 10),
        _back_when("max_length_bytes", 1000),
        _back_when("delivery_limit", 3, "quorum"),
    ),
    "wait-without-end": (
        _waiting_without_end,
        _waiting_by_key,
    ),
    "dead-letter-key-without-exchange": (_key_alone,),
    "dead-letters-not-at-least-once": (_at_most_once_after_all,),
}
