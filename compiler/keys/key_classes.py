"""All the keys an exchange can get, sorted into classes that are routed alike.

Routing a key means walking the bindings' patterns with its words. Here they are walked with all
keys at a time: from each state of the walk, every word that some pattern waits for leads on, and
one that none waits for stands for all the others. Keys that reach the same state are routed alike
from there on, so that each state is visited once, and by its smallest key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from routewright.compiler.keys.pattern_table import PatternTable, State
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
    return _Walk(table, within, apart).classes()


class _Step(NamedTuple, Generic[Value]):
    """A key that the walk has come to, and the places in the patterns that its words lead to."""

    key: str
    state: State[Value]
    outside: State[None]
    inside: tuple[int, ...]


class _Walk(Generic[Value]):
    """A walk of patterns with all keys at a time, one word a level."""

    def __init__(
        self, table: PatternTable[Value], within: Sequence[Pattern], apart: Sequence[Pattern]
    ) -> None:
        self._table = table
        self._limits = [Automaton(pattern) for pattern in within or (EVERY_KEY,)]
        self._refused: PatternTable[None] = PatternTable()
        self._refuses = bool(apart)
        for pattern in apart:
            self._refused.add(pattern, None)
        named = (table.literals, self._refused.literals, *(it.literals for it in self._limits))
        self._fresh = unused_word(*named)  # stands for every word that no pattern names
        self._empty_is_named = any("" in it for it in named)
        self._seen: set[tuple[object, ...]] = set()
        self._places = 0

    def classes(self) -> Iterator[KeyClass[Value]]:
        start = tuple(limit.start for limit in self._limits)
        level = [_Step("", self._table.start, self._refused.start, start)]
        depth = 0
        while level:
            following: list[_Step[Value]] = []
            for step in sorted(level, key=lambda it: (len(it.key), it.key)):
                # A single empty word is no key: its text is that of no words.
                writable = bool(step.key) or depth != 1
                key = self._first_visit(step, writable=writable)
                if key is None:
                    continue
                if writable and self._is_wanted(step):
                    values = tuple(value for node in step.state for value in node.values)
                    yield KeyClass(key, values)
                following += self._longer(step, f"{key}." if depth else "")
            level = following
            depth += 1

    def _first_visit(self, step: _Step[Value], *, writable: bool) -> str | None:
        """The key of a step, short enough; None if there is none, or the state was visited."""
        identity = (step.state, step.outside, step.inside, writable)
        if identity in self._seen:
            return None
        key = _short_enough(step.key, self._fresh, self._empty_is_named)
        if key is None:
            return None
        self._seen.add(identity)
        if len(self._seen) > MAX_STATES:
            raise Undecided(f"the keys fall into more than {MAX_STATES:,} classes")
        return key

    def _is_wanted(self, step: _Step[Value]) -> bool:
        """Returns True if the keys match all patterns of `within` and none of `apart`."""
        accepted = all(map(Automaton.accepts, self._limits, step.inside))
        return accepted and not any(node.values for node in step.outside)

    def _longer(self, step: _Step[Value], before: str) -> Iterator[_Step[Value]]:
        """The steps that lead on by one more word, to states that were not visited."""
        table, refused, seen = self._table, self._refused, self._seen
        limits = list(zip(self._limits, step.inside, strict=True))
        for word in self._next_words(step, limits):
            state = table.step(step.state, word)
            outside = refused.step(step.outside, word) if self._refuses else step.outside
            inside = tuple([limit.step(place, word) for limit, place in limits])
            self._places += 1 + len(state) + len(outside)
            if self._places > MAX_PLACES:
                raise Undecided(f"more than {MAX_PLACES:,} places in patterns")
            if all(inside) and (state, outside, inside, True) not in seen:
                yield _Step(before + word, state, outside, inside)

    def _next_words(
        self, step: _Step[Value], limits: Sequence[tuple[Automaton, int]]
    ) -> Iterable[str]:
        """The words that can make a difference next, and one that stands for all others."""
        named = [limit.expected(place) for limit, place in limits if not limit.takes_any(place)]
        if named:  # these patterns take nothing but what they name
            return set.intersection(*named)
        expected = (limit.expected(place) for limit, place in limits)
        state, outside = self._table.expected(step.state), self._refused.expected(step.outside)
        return {self._fresh}.union(state, outside, *expected)


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
