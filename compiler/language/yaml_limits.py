"""How large a YAML text becomes once its aliases are filled in, and how much of that is allowed.

Aliases make a short text long: ten lists of ten aliases each are ten thousand million values. The
measure of a node is taken once, however often it is used, so that this costs by the text and not by
what it stands for.
"""

from __future__ import annotations

import yaml

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Extent, Source

MAX_DEPTH = 40
MAX_VALUES = 1_000_000
MAX_NODES = 2 * MAX_VALUES  # with the keys
_LONG = 1000  # so many characters count as one more value


class Stop(Exception):
    """Reading cannot go on."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def measure(source: Source, root: yaml.Node) -> None:
    """Let a graph of nodes pass if it is finite and not too large.

    Raises:
        Stop: it has a loop, or too many levels, or too many values.
    """
    _Measure(source).of(root, 0)


class _Measure:
    """The number of values and of levels in every list and mapping seen so far."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[int, tuple[int, int]] = {}
        self._around: set[int] = set()

    def of(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1 + len(node.value) // _LONG, 0
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = self._take(node, depth)
        if depth + known[1] > MAX_DEPTH:
            raise Stop(too_deep(self._source, extent_of(node)))
        return known

    def _take(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        if id(node) in self._around:
            raise Stop(_recursive(self._source, extent_of(node)))
        if depth >= MAX_DEPTH:
            raise Stop(too_deep(self._source, extent_of(node)))
        self._around.add(id(node))
        values, levels = 1, 0
        mapping = isinstance(node, yaml.MappingNode)
        for item in (value for _, value in node.value) if mapping else node.value:
            inner_values, inner_levels = self.of(item, depth + 1)
            values += inner_values
            levels = max(levels, inner_levels)
            if values > MAX_VALUES:
                raise Stop(too_many(self._source, extent_of(node)))
        self._around.discard(id(node))
        return values, levels + 1


def extent_of(node: yaml.Node | None) -> Extent:
    """From where to where a node stands in the text."""
    if node is None:
        return Extent(0, 0, 0, 0)
    start = node.start_mark
    end = node.end_mark or start  # a node that is still being composed has no end
    return Extent(start.line, start.column, end.line, end.column)


def too_deep(source: Source, place: Extent) -> Diagnostic:
    """What to say where values stand inside one another too often."""
    return Diagnostic(
        "nested-too-deeply",
        f"more than {MAX_DEPTH} values stand inside one another here",
        source.mark(place),
        help="a topology is at most a handful of levels deep",
    )


def too_many(source: Source, place: Extent) -> Diagnostic:
    return Diagnostic(
        "too-many-values",
        f"with its aliases filled in, this has more than {MAX_VALUES:,} values",
        source.mark(place),
        help="use fewer aliases of aliases, or split the topology into several files",
    )


def _recursive(source: Source, place: Extent) -> Diagnostic:
    return Diagnostic(
        "recursive-alias",
        "an alias inside this value stands for the value itself",
        source.mark(place),
        help="take the alias away",
    )
