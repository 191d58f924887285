"""Slips in what becomes of the messages that a queue gives up on."""

from __future__ import annotations

from collections.abc import Iterator

from brute_force import BruteForce

from planted.slip import Planting, Slip
from planted.sound import Sound, topology_of


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


def _retried_for_ever(base: Sound) -> Iterator[Slip]:
    """The dead letters of a work queue wait elsewhere, and then come back."""
    for name, queue in base.consumed():
        if queue.get("type") == "stream":
            continue
        document = base.changed()
        document["queues"][name]["dead_letter"] = {"exchange": "again"}
        document["exchanges"]["again"] = {"type": "fanout"}
        document["queues"]["wait"] = {
            "bindings": [{"exchange": "again"}],
            "message_ttl": "30s",
            "dead_letter": {"exchange": "", "routing_key": name},
            "tap": True,
        }
        yield f"`{name}`", document


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


def without_dead_letters(base: Sound) -> Iterator[str]:
    """The queues that something is bound to and that may have dead letters, but have none."""
    for name, queue in base.document["queues"].items():
        if queue["bindings"] and queue.get("type") != "stream" and "dead_letter" not in queue:
            yield name


PLANTINGS: tuple[tuple[str, Planting], ...] = (
    ("dead-letter-goes-nowhere", _dead_letters_to_nothing),
    ("dead-letter-goes-nowhere", _dead_letter_key_misspelt),
    ("endless-dead-letter-loop", _retried_for_ever),
    ("endless-dead-letter-loop", _its_own_dead_letters),
    ("dead-letter-loop-drops", _waiting_in_turns),
)
