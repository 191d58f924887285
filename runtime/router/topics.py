"""Patterns by dotted words, matched by RabbitMQ's rules for topics: for the runtime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class TopicTable(Generic[Value]):
    """Many patterns at once, each with a value; a look-up costs by the key, not their number."""

    def __init__(self, patterns: Iterable[tuple[str, Value]]) -> None:
        self._root: _Node[Value] = _Node()
        for pattern, value in patterns:
            node = self._root
            for part in pattern.split(".") if pattern else ():
                node = node.behind(part)
            node.values.append(value)

    def lookup(self, key: str) -> list[Value]:
        """The values of the patterns that a key matches, in no particular order."""
        reached = _with_empty_many([self._root])
        for word in key.split(".") if key else ():
            after: list[_Node[Value]] = []
            for node in reached:
                if node.is_many:
                    after.append(node)
                after += [it for it in (node.one, node.words.get(word)) if it is not None]
            reached = _with_empty_many(after)
        return [value for node in reached for value in node.values]


class _Node(Generic[Value]):
    """A place in the patterns, which are a trie: what may come next, and what ends here."""

    __slots__ = ("is_many", "many", "one", "values", "words")

    def __init__(self, *, is_many: bool = False) -> None:
        self.words: dict[str, _Node[Value]] = {}
        self.one: _Node[Value] | None = None
        self.many: _Node[Value] | None = None
        self.values: list[Value] = []
        self.is_many = is_many  # behind a `#`, which takes any word and stays

    def behind(self, part: str) -> _Node[Value]:
        """The place behind one more part of a pattern."""
        if part == "*":
            self.one = self.one or _Node()
            return self.one
        if part == "#":
            self.many = self.many or _Node(is_many=True)
            return self.many
        return self.words.setdefault(part, _Node())


def _with_empty_many(nodes: list[_Node[Value]]) -> list[_Node[Value]]:
    """These places once each, and those behind a `#` that takes no word."""
    found = dict.fromkeys(nodes)
    for node in nodes:
        behind = node.many
        while behind is not None:
            found[behind] = None
            behind = behind.many
    return list(found)


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
