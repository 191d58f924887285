"""Topic patterns, by RabbitMQ's rules.

A key is words separated by dots; the empty key has no words, and `a..b` has an empty one in the
middle. In a pattern `*` is exactly one word, be it empty, and `#` is any number of them, be it
none. A word that merely contains one of these signs is an ordinary word.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Value = TypeVar("Value")

ONE, MANY = "*", "#"


def words(key: str) -> list[str]:
    """The words of a key or a pattern; the empty one has none."""
    return key.split(".") if key else []


def has_wildcard(pattern: str) -> bool:
    """Whether a pattern matches anything but itself."""
    return any(word in (ONE, MANY) for word in words(pattern))


def matches(pattern: str, key: str) -> bool:
    """Whether a key matches a topic pattern."""
    table: TopicTable[None] = TopicTable()
    table.add(pattern, None)
    return any(True for _ in table.lookup(key))


class _Node(Generic[Value]):
    """A place in the trie: the words that may come next, and what ends here."""

    __slots__ = ("loops", "next", "values")

    def __init__(self, *, loops: bool = False) -> None:
        self.next: dict[str, _Node[Value]] = {}
        self.values: list[Value] = []
        self.loops = loops  # reached by `#`, which takes any word and stays


class TopicTable(Generic[Value]):
    """Many patterns at once, each with a value; a look-up costs by the key and not by their number.

    The patterns form a trie, which a key walks through on all matching paths at a time, as a
    non-deterministic automaton does.
    """

    def __init__(self) -> None:
        self._root: _Node[Value] = _Node()

    def add(self, pattern: str, value: Value) -> None:
        node = self._root
        for word in words(pattern):
            if word == MANY and node.loops:
                continue  # `#.#` is `#`
            child = node.next.get(word)
            if child is None:
                child = node.next[word] = _Node(loops=word == MANY)
            node = child
        node.values.append(value)

    def lookup(self, key: str) -> Iterator[Value]:
        """The values of the patterns that the key matches, in no particular order."""
        nodes = _with_empty_many([self._root])
        for word in words(key):
            nodes = _with_empty_many(_step(nodes, word))
        for node in nodes:
            yield from node.values


def _step(nodes: Iterable[_Node[Value]], word: str) -> Iterator[_Node[Value]]:
    """Where one word leads from each of the nodes."""
    for node in nodes:
        if node.loops:
            yield node
        for label in {word, ONE} - {MANY}:
            child = node.next.get(label)
            if child is not None:
                yield child


def _with_empty_many(nodes: Iterable[_Node[Value]]) -> list[_Node[Value]]:
    """The nodes, each once, and those behind a `#` that takes no word."""
    reached = dict.fromkeys(nodes)
    for node in list(reached):
        child = node.next.get(MANY)
        if child is not None:
            reached[child] = None
    return list(reached)
