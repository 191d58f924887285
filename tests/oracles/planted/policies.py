"""Slips in policies, and in what they do to queues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from planted.dead_letters import without_dead_letters
from planted.slip import Planting, Slip
from planted.sound import Document, Sound


def _with_policies(base: Sound, **policies: Document) -> Document:
    document = base.changed_whole()
    document.setdefault("policies", {}).update(policies)
    return document


def _of(queue: str, priority: int = 99, **definition: Any) -> Document:
    return {"pattern": f"^{queue}$", "priority": priority, "definition": definition}


def _queues(base: Sound, *types: str) -> Iterator[tuple[str, Document]]:
    if base.topology.target.startswith("rabbitmq"):
        for name, queue in base.whole["queues"].items():
            if (queue or {}).get("type", "classic") in types:
                yield name, queue or {}


def _two_of_one_priority(base: Sound) -> Iterator[Slip]:
    for name, _ in _queues(base, "classic", "quorum"):
        short, long = _of(name, max_length=9_000_000), _of(name, max_length=9_000_001)
        yield f"`{name}`", _with_policies(base, short=short, long=long)


def _key_of_another_type(base: Sound) -> Iterator[Slip]:
    for name, _ in _queues(base, "quorum", "stream"):
        yield f"`{name}`", _with_policies(base, lazy=_of(name, queue_mode="lazy"))
    for name, _ in _queues(base, "classic", "stream"):
        yield f"`{name}`", _with_policies(base, limit=_of(name, delivery_limit=3))


def _found_in_no_name(base: Sound) -> Iterator[Slip]:
    yield "`lost`", _with_policies(base, lost=_of("zz.never", max_length=9))


def _outranked(base: Sound) -> Iterator[Slip]:
    for name, _ in _queues(base, "classic", "quorum"):
        first, second = _of(name, max_length=9_000_000), _of(name, priority=98, expires="10d")
        yield "`second`", _with_policies(base, first=first, second=second)


def _smaller_than_the_queue_says(base: Sound) -> Iterator[Slip]:
    for name, queue in _queues(base, "classic", "quorum"):
        if isinstance(queue.get("max_length"), int):
            smaller = _of(name, max_length=queue["max_length"] - 1)
            yield f"`{name}`", _with_policies(base, smaller=smaller)
        if "message_ttl" in queue:
            yield f"`{name}`", _with_policies(base, sooner=_of(name, message_ttl="1ms"))


def _key_of_no_policy(base: Sound) -> Iterator[Slip]:
    for name, _ in _queues(base, "classic"):
        policy = _of(name, arguments={"max-priority": 5})
        yield "`max-priority`", _with_policies(base, ranked=policy)


def _pattern_that_is_none(base: Sound) -> Iterator[Slip]:
    for pattern in ("(", "a{,3}", "[[:alpha:]]"):
        policy = {"pattern": pattern, "definition": {"max_length": 9}}
        yield f"`{pattern}`", _with_policies(base, broken=policy)
    yield "says nothing", _with_policies(base, empty={"pattern": "", "definition": {}})


def _dead_letters_to_nothing(base: Sound) -> Iterator[Slip]:
    """A queue without dead letters gets them by policy, and nothing is bound to take them."""
    for name in without_dead_letters(base):
        if base.topology.queues[name].policy is None and base.topology.target != "redis":
            dead = _of(name, dead_letter={"exchange": "graveyard"})
            document = _with_policies(base, dead=dead)
            document["exchanges"]["graveyard"] = {"type": "topic"}
            yield f"`{name}`", document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "ambiguous-policy": (_two_of_one_priority,),
    "policy-passed-over": (_key_of_another_type,),
    "policy-without-effect": (
        _found_in_no_name,
        _outranked,
    ),
    "policy-overrides-file": (_smaller_than_the_queue_says,),
    "unknown-policy-key": (_key_of_no_policy,),
    "malformed-policy": (_pattern_that_is_none,),
    "dead-letter-goes-nowhere": (_dead_letters_to_nothing,),
}
