"""Many patterns at once, each with a value; a look-up costs by the key and not by their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeAlias, TypeVar

from routewright.compiler.keys.patterns import Pattern, Wild, words

Value = TypeVar("Value")


class Node(Generic[Value]):
    """A place in the trie: what may come next, and what ends here."""

    __slots__ = ("literal", "loops", "many", "one", "values")

    def __init__(self, *, loops: bool = False) -> None:
        self.literal: dict[str, Node[Value]] = {}
        self.one: Node[Value] | None = None
        self.many: Node[Value] | None = None
        self.values: list[Value] = []
        self.loops = loops  # reached by `#`, which takes any word and stays


State: TypeAlias = frozenset[Node[Value]]
"""The places that the words so far lead to, on all matching paths at a time."""


class PatternTable(Generic[Value]):
    """Patterns as a trie, walked as a non-deterministic automaton is."""

    def __init__(self) -> None:
        self._root: Node[Value] = Node()
        self.literals: set[str] = set()

    def add(self, pattern: Pattern, value: Value) -> None:
        """Add a pattern; the same one may have several values."""
        node = self._root
        for part in pattern:
            if part is Wild.ONE:
                node.one = node.one or Node()
                node = node.one
            elif part is Wild.MANY:
                node.many = node.many or Node(loops=True)
                node = node.many
            else:
                self.literals.add(part)
                child = node.literal.get(part)
                if child is None:
                    child = node.literal[part] = Node()
                node = child
        node.values.append(value)

    @property
    def start(self) -> State[Value]:
        """The state before the first word."""
        return _with_empty_many({self._root})

    @staticmethod
    def step(state: State[Value], word: str) -> State[Value]:
        """The state after one more word."""
        after: set[Node[Value]] = set()
        for node in state:
            if node.loops:
                after.add(node)
            if node.one is not None:
                after.add(node.one)
            child = node.literal.get(word)
            if child is not None:
                after.add(child)
        return _with_empty_many(after)

    @staticmethod
    def expected(state: State[Value]) -> set[str]:
        """The words that some pattern names next."""
        return {word for node in state for word in node.literal}

    def lookup(self, key: str) -> Iterator[Value]:
        """The values of the patterns that the key matches, in no particular order."""
        state = self.start
        for word in words(key):
            state = self.step(state, word)
        for node in state:
            yield from node.values


def _with_empty_many(nodes: set[Node[Value]]) -> State[Value]:
    """The nodes, and those behind a `#` that takes no word."""
    nodes.update([node.many for node in nodes if node.many is not None])
    return frozenset(nodes)
