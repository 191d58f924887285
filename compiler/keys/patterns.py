"""Topic patterns, by RabbitMQ's rules, and exact answers about all the keys they match.

A key is words separated by dots; the empty key has no words, and `a..b` has an empty one in the
middle. In a pattern `*` is exactly one word, be it empty, and `#` is any number of them, be it
none. A word that merely contains one of these signs is an ordinary word. A key has 255 bytes at
most.

Every question about patterns is one search: is there a key that matches all of these and none of
those? It walks the patterns' automata side by side, on words that some pattern names and on one
that none does. That one stands for all the others, so the answer holds for the whole, unbounded
alphabet; and since the search goes from short keys to long ones, what it finds is the shortest.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from itertools import count
from typing import NamedTuple, TypeAlias

MAX_KEY_BYTES = 255
MAX_STATES = 200_000


class Undecided(Exception):
    """An answer would take looking at more states than is sensible."""


class Wild(Enum):
    """The two wildcards, as parts of a pattern."""

    ONE = "*"
    MANY = "#"


Part: TypeAlias = str | Wild
Pattern: TypeAlias = tuple[Part, ...]
"""A pattern taken apart. Words are text, also `"*"` where it is meant literally."""


def words(key: str) -> tuple[str, ...]:
    """The words of a key; the empty one has none."""
    return tuple(key.split(".")) if key else ()


def topic(pattern: str) -> Pattern:
    """What a binding key means to a topic exchange."""
    parts: list[Part] = []
    for word in words(pattern):
        part: Part = Wild(word) if word in _WILD else word
        if part is Wild.MANY and parts and parts[-1] is Wild.MANY:
            continue  # `#.#` is `#`
        parts.append(part)
    return tuple(parts)


def exactly(key: str) -> Pattern:
    """The pattern that matches one key, as a direct exchange does."""
    return words(key)


_WILD = frozenset(wild.value for wild in Wild)


def has_wildcard(pattern: str) -> bool:
    """Whether a binding key matches, on a topic exchange, anything but itself."""
    return not _WILD.isdisjoint(words(pattern))


def word_with_a_wildcard(pattern: str) -> str | None:
    """Returns the first ordinary word that contains the sign of a wildcard."""
    ordinary = (word for word in words(pattern) if word not in _WILD)
    return next((word for word in ordinary if not _WILD.isdisjoint(word)), None)


def matches(pattern: Pattern, key: str) -> bool:
    """Whether a key matches a pattern."""
    automaton = Automaton(pattern)
    state = automaton.start
    for word in words(key):
        state = automaton.step(state, word)
    return automaton.accepts(state)


def intersects(one: Pattern, other: Pattern) -> bool:
    """Whether some key matches both patterns."""
    return not _begin_otherwise(one, other) and witness([one, other]) is not None


def _begin_otherwise(one: Pattern, other: Pattern) -> bool:
    """Whether two patterns differ in a word before the first `#`, which is soon seen."""
    for mine, its in zip(one, other, strict=False):
        if Wild.MANY in (mine, its):
            return False
        if mine != its and Wild.ONE not in (mine, its):
            return True
    return False


def covers(patterns: Iterable[Pattern], pattern: Pattern) -> bool:
    """Whether every key that matches the pattern matches one of the patterns."""
    return witness([pattern], none_of=patterns) is None


def witness(all_of: Iterable[Pattern], none_of: Iterable[Pattern] = ()) -> str | None:
    """The smallest key that matches all of some patterns and none of some others.

    Fewest words first, then fewest characters; with words that no pattern names as short as can be,
    and never empty unless a pattern wants them so or no other key is short enough. None says that
    there is no such key.

    Raises:
        Undecided: the patterns are such that more than `MAX_STATES` states would be looked at.
    """
    search = _Search([Automaton(it) for it in all_of], [Automaton(it) for it in none_of])
    found = search.smallest(with_empty=False)
    if found is None or len(found.encode()) <= MAX_KEY_BYTES:
        return found
    found = search.smallest(with_empty=True)
    return found if found is not None and len(found.encode()) <= MAX_KEY_BYTES else None


class Automaton:
    """A pattern as a set of places in it, one bit each, all moved by a word at a time.

    In a state, the bit of place i is set when the words so far match the first i parts.
    """

    __slots__ = ("_accepting", "_literal", "_many", "_one", "literals", "start")

    def __init__(self, pattern: Pattern) -> None:
        self._one = self._many = 0
        self._literal: dict[str, int] = {}
        for place, part in enumerate(pattern):
            bit = 1 << place
            if part is Wild.ONE:
                self._one |= bit
            elif part is Wild.MANY:
                self._many |= bit
            else:
                self._literal[part] = self._literal.get(part, 0) | bit
        self.literals = self._literal.keys()
        self._accepting = 1 << len(pattern)
        self.start = self._skip(1)

    def step(self, state: int, word: str) -> int:
        """The state after one more word; 0 when nothing matches any more."""
        moving = state & (self._one | self._literal.get(word, 0))
        return self._skip(moving << 1 | state & self._many)

    def accepts(self, state: int) -> bool:
        """Whether the words so far match the whole pattern."""
        return bool(state & self._accepting)

    def takes_any(self, state: int) -> bool:
        """Whether any word at all can come next."""
        return bool(state & (self._one | self._many))

    def expected(self, state: int) -> set[str]:
        """The words that the pattern names next."""
        return {word for word, places in self._literal.items() if state & places}

    def _skip(self, state: int) -> int:
        """A `#` may take no word; there are never two in a row."""
        return state | (state & self._many) << 1


class _Step(NamedTuple):
    """What the search has reached; the order of its fields is the order of the search."""

    cost: tuple[int, int]
    number: int
    states: tuple[int, ...]
    key: tuple[str, ...]


class _Search:
    def __init__(self, wanted: Sequence[Automaton], refused: Sequence[Automaton]) -> None:
        self._wanted = wanted
        self._refused = refused
        self._automata = [*wanted, *refused]
        literals = {word for automaton in self._automata for word in automaton.literals}
        self._words = [*sorted(literals, key=lambda word: (len(word), word)), unused_word(literals)]

    def smallest(self, *, with_empty: bool) -> str | None:
        """The smallest key; with empty words allowed, the one of the fewest bytes."""
        number = count()
        start = tuple(automaton.start for automaton in self._automata)
        waiting = [_Step((0, 0), next(number), start, ())]
        seen: set[tuple[tuple[int, ...], bool]] = set()
        alphabet = [*dict.fromkeys([*self._words, ""])] if with_empty else self._words
        while waiting:
            cost, _, states, key = heapq.heappop(waiting)
            # A single empty word is no key: its text is that of no words.
            unwritable = key == ("",)
            if (states, unwritable) in seen:
                continue
            seen.add((states, unwritable))
            if len(seen) > MAX_STATES:
                raise Undecided(f"more than {MAX_STATES:,} states of patterns")
            if not unwritable and self._accepts(states):
                return ".".join(key)
            for word in alphabet:
                after = tuple(
                    automaton.step(state, word)
                    for automaton, state in zip(self._automata, states, strict=True)
                )
                if all(after[: len(self._wanted)]):
                    size = cost[1] + (len(word.encode()) if with_empty else len(word))
                    price = (size + len(key), 0) if with_empty else (len(key) + 1, size)
                    heapq.heappush(waiting, _Step(price, next(number), after, (*key, word)))
        return None

    def _accepts(self, states: tuple[int, ...]) -> bool:
        reached = [
            automaton.accepts(state)
            for automaton, state in zip(self._automata, states, strict=True)
        ]
        wanted = len(self._wanted)
        return all(reached[:wanted]) and not any(reached[wanted:])


def unused_word(*literals: AbstractSet[str]) -> str:
    """The shortest plain word that none of the patterns names, whose words the sets are."""
    return next(word for word in _plain_words() if not any(word in it for it in literals))


def _plain_words() -> Iterator[str]:
    letters = "xyzwvutsrqponmlkjihgfedcba"
    yield from letters
    for length in count(2):
        yield from (letter * length for letter in letters)
