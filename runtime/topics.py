"""Patterns by dotted words, matched by RabbitMQ's rules for topics: for the runtime."""

from __future__ import annotations


def matches(pattern: str, key: str) -> bool:
    """Whether a key or a name matches a pattern: `*` is one word, `#` any number of them.

    The empty key has no words. The time it takes is the product of both lengths, at worst.
    """
    parts = pattern.split(".") if pattern else []
    reached = _behind_many(parts, {0})
    for word in key.split(".") if key else ():
        after = {
            place if parts[place] == "#" else place + 1
            for place in reached
            if place < len(parts) and parts[place] in ("#", "*", word)
        }
        reached = _behind_many(parts, after)
    return len(parts) in reached


def _behind_many(parts: list[str], places: set[int]) -> set[int]:
    """The places in a pattern, and those behind a `#` that takes no word."""
    found = set(places)
    for place in sorted(places):
        behind = place
        while behind < len(parts) and parts[behind] == "#":
            behind += 1
            found.add(behind)
    return found
