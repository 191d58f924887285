"""All the keys an exchange can get, sorted into classes that are routed alike.

Routing a key means walking the bindings' patterns with its words. Here they are walked with all
keys at a time: from each state of the walk, every word that some pattern waits for leads on, and
one that none waits for stands for all the others. Keys that reach the same state are routed alike
from there on, so that each state is visited once, and by its smallest key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import (
    MAX_KEY_BYTES,
    Automaton,
    Pattern,
    Undecided,
    Wild,
    unused_word,
    words,
)

Value = TypeVar("Value")

MAX_STATES = 200_000
MAX_PLACES = 1_000_000  # of patterns, counted again for each word that leads there
EVERY_KEY: Pattern = (Wild.MANY,)


@dataclass(frozen=True, slots=True)
class KeyClass(Generic[Value]):
    """Keys that match the same patterns: the smallest of them, and the patterns' values."""

    witness: str
    values: tuple[Value, ...]


def key_classes(
    table: PatternTable[Value], within: Sequence[Pattern] = (), apart: Sequence[Pattern] = ()
) -> Iterator[KeyClass[Value]]:
    """The classes of the keys that match all of some patterns, those with smaller witnesses first.

    Keys that match one of the patterns in `apart` are in no class.

    No key is in two classes and none is left out. Classes with the same values may come several
    times, with other witnesses: what tells two states apart may never matter again.

    Raises:
        Undecided: there are more than `MAX_STATES` states; the classes given before are right.
    """
    limits = [Automaton(pattern) for pattern in within or (EVERY_KEY,)]
    refused: PatternTable[None] = PatternTable()
    for pattern in apart:
        refused.add(pattern, None)
    named = (table.literals, refused.literals, *(limit.literals for limit in limits))
    fresh, empty_is_named = unused_word(*named), any("" in it for it in named)
    seen: set[tuple[object, ...]] = set()
    level = [("", table.start, refused.start, tuple(limit.start for limit in limits))]
    depth = places_met = 0
    while level:
        following = []
        for text, state, outside, inside in sorted(level, key=lambda step: (len(step[0]), step[0])):
            # A single empty word is no key: its text is that of no words.
            writable = bool(text) or depth != 1
            identity = (state, outside, inside, writable)
            key = text if identity in seen else _short_enough(text, fresh, empty_is_named)
            if identity in seen or key is None:
                continue
            seen.add(identity)
            if len(seen) > MAX_STATES:
                raise Undecided(f"the keys fall into more than {MAX_STATES:,} classes")
            places = list(zip(limits, inside, strict=True))
            wanted = writable and all(limit.accepts(place) for limit, place in places)
            if wanted and not any(node.values for node in outside):
                yield KeyClass(key, tuple(value for node in state for value in node.values))
            worth_trying = _named_by(places)
            if worth_trying is None:
                expected = (limit.expected(place) for limit, place in places)
                worth_trying = {fresh}.union(
                    table.expected(state), refused.expected(outside), *expected
                )
            for word in worth_trying:
                after = table.step(state, word)
                off = refused.step(outside, word) if apart else outside
                longer = f"{key}.{word}" if depth else word
                moved = tuple(limit.step(place, word) for limit, place in places)
                places_met += 1 + len(after) + len(off)
                if places_met > MAX_PLACES:
                    raise Undecided(f"more than {MAX_PLACES:,} places in patterns")
                if all(moved) and (after, off, moved, True) not in seen:
                    following.append((longer, after, off, moved))
        level = following
        depth += 1


def _short_enough(key: str, fresh: str, empty_is_named: bool) -> str | None:
    """The key, with empty words in place of those that no pattern names if it is too long.

    Raises:
        Undecided: it would fit then, but some pattern names the empty word.
    """
    if len(key.encode()) <= MAX_KEY_BYTES:
        return key
    shorter = ".".join("" if word == fresh else word for word in words(key))
    if len(shorter.encode()) > MAX_KEY_BYTES:
        return None
    if empty_is_named:
        raise Undecided(f"keys of more than {MAX_KEY_BYTES} bytes unless words are empty")
    return shorter


def _named_by(places: list[tuple[Automaton, int]]) -> set[str] | None:
    """The words that may come next by patterns that take only what they name, if there are any."""
    named = [limit.expected(place) for limit, place in places if not limit.takes_any(place)]
    return set.intersection(*named) if named else None
