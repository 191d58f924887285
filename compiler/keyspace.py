"""All the keys an exchange can get, sorted into classes that are routed alike.

Routing a key means walking the bindings' patterns with its words. Here they are walked with all
keys at a time: from each state of the walk, every word that some pattern waits for leads on, and
one that none waits for stands for all the others. Keys that reach the same state are routed alike
from there on, so that each state is visited once, and by its smallest key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from routewright.compiler.patterns import MAX_KEY_BYTES, Automaton, Pattern, Wild, unused_word
from routewright.compiler.table import PatternTable

Value = TypeVar("Value")

MAX_STATES = 400_000
EVERY_KEY: Pattern = (Wild.MANY,)


class Undecided(Exception):
    """There are more classes of keys than are looked at."""


@dataclass(frozen=True, slots=True)
class KeyClass(Generic[Value]):
    """Keys that match the same patterns: the smallest of them, and the patterns' values."""

    witness: str
    values: tuple[Value, ...]


def key_classes(
    table: PatternTable[Value], within: Pattern = EVERY_KEY, max_states: int = MAX_STATES
) -> Iterator[KeyClass[Value]]:
    """The classes of the keys within a pattern, those with smaller witnesses first.

    No key is in two classes and none is left out. Classes with the same values may come several
    times, with other witnesses: what tells two states apart may never matter again.

    Raises:
        Undecided: there are more than `max_states` states; the classes given before are right.
    """
    limit = Automaton(within)
    fresh = unused_word(table.literals | limit.literals)
    seen: set[tuple[object, ...]] = set()
    level = [("", table.start, limit.start)]
    depth = 0
    while level:
        following = []
        for key, state, inside in sorted(level, key=lambda step: (len(step[0]), step[0])):
            # A single empty word is no key: its text is that of no words.
            writable = bool(key) or depth != 1
            identity = (state, inside, writable)
            if identity in seen or len(key.encode()) > MAX_KEY_BYTES:
                continue
            seen.add(identity)
            if len(seen) > max_states:
                raise Undecided(f"the keys fall into more than {max_states:,} classes")
            if writable and limit.accepts(inside):
                yield KeyClass(key, tuple(value for node in state for value in node.values))
            wanted = limit.expected(inside)
            if limit.takes_any(inside):
                wanted = {*wanted, *table.expected(state), fresh}
            for word in wanted:
                after = table.step(state, word)
                longer = f"{key}.{word}" if depth else word
                following.append((longer, after, limit.step(inside, word)))
        level = following
        depth += 1
