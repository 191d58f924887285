"""Slips in `delays`, and in what they are to bring later."""

from __future__ import annotations

from collections.abc import Iterator

from planted.dead_letters import without_dead_letters
from planted.slip import Planting, Slip
from planted.sound import Document, Sound


def _delayed(base: Sound, resolution: str = "1s", longest: str = "1h") -> Document:
    return {**base.changed_whole(), "delays": {"resolution": resolution, "max": longest}}


def _longest_below_a_step(base: Sound) -> Iterator[Slip]:
    yield "shorter than one step", _delayed(base, "10s", "1s")
    yield "", _delayed(base, "0s", "1s")


def _key_too_long_behind_a_delay(base: Sound) -> Iterator[Slip]:
    """A task's key fits by itself, and not behind the words of a long delay."""
    for task in base.tasks():
        if task.exchange.type == "topic" and not base.is_virtual:
            document = _delayed(base, "100ms", "30d")
            document["tasks"][task.name]["routing_key"] = "k" * 220
            yield f"`{task.name}`", document


def _sign_in_a_direct_key(base: Sound) -> Iterator[Slip]:
    """No topic's binding key says what a direct exchange's says of the word `*`."""
    for task in base.tasks():
        if task.exchange.type == "direct" and not base.is_virtual:
            document = _delayed(base)
            binding = {"exchange": task.exchange.name, "binding_key": "zz.*"}
            document["queues"]["extra"] = {"bindings": [binding], "tap": True}
            yield "`zz.*`", document


def _name_of_the_ladder(base: Sound) -> Iterator[Slip]:
    for name in (f"{base.topology.name}.delay.0", f"{base.topology.name}.delayed"):
        document = _delayed(base)
        document["queues"][name] = {"tap": True}
        yield f"`{name}`", document


def _policy_for_the_ladder(base: Sound) -> Iterator[Slip]:
    if not base.is_virtual:
        document = _delayed(base)
        policy = {"pattern": "delay", "definition": {"message_ttl": "1s"}}
        document["policies"] = {"soon": policy}
        yield "`soon`", document


def _dead_letters_by_the_longer_key(base: Sound) -> Iterator[Slip]:
    """Dead letters keep their keys, and are bound by the first word of them."""
    for name in without_dead_letters(base):
        for task in base.tasks():
            key = task.routing_key
            binding = {"exchange": task.exchange.name, "binding_key": key}
            if (
                base.is_virtual
                or not key
                or binding not in base.document["queues"][name]["bindings"]
            ):
                continue
            document = _delayed(base)
            document["queues"][name]["dead_letter"] = {"exchange": "graveyard"}
            document["exchanges"]["graveyard"] = {"type": "topic"}
            graves = {"exchange": "graveyard", "binding_key": f"{key}.#"}
            document["queues"]["graves"] = {"bindings": [graves], "tap": True}
            yield f"`{name}`", document


def _retried_without_delays(base: Sound) -> Iterator[Slip]:
    for name in base.topology.tasks:
        if not base.is_virtual:
            document = base.changed_whole()
            document.pop("delays", None)
            document["tasks"][name]["retry"] = {"max": 3}
            yield f"`{name}`", document


def _retried_after_too_long(base: Sound) -> Iterator[Slip]:
    for name in base.topology.tasks:
        if not base.is_virtual:
            document = _delayed(base)
            document["tasks"][name]["retry"] = {"max": 5, "backoff": "1h", "max_backoff": "2h"}
            yield f"`{name}`", document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "malformed-delays": (_longest_below_a_step,),
    "impossible-delay": (
        _key_too_long_behind_a_delay,
        _sign_in_a_direct_key,
    ),
    "impossible-retry": (
        _retried_without_delays,
        _retried_after_too_long,
    ),
    "name-taken-by-delays": (
        _name_of_the_ladder,
        _policy_for_the_ladder,
    ),
    "delayed-dead-letters-elsewhere": (_dead_letters_by_the_longer_key,),
}
