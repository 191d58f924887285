"""The text of a topology file, and the line and column of every value in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import NamedTuple, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead from the top of the file to a value."""

# What libyaml counts as the end of a line, so that its line numbers are ours.
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


class Extent(NamedTuple):
    """From where to where a piece of text runs; lines and columns count from 0."""

    line: int
    column: int
    end_line: int
    end_column: int


class Place(NamedTuple):
    """Where a value stands, and where its key does (an item of a list has none)."""

    key: Extent | None
    value: Extent


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of text within one line; lines and columns count characters from 1."""

    file: str
    line: int
    column: int
    end_column: int


@dataclass(frozen=True, eq=False)
class Source:
    """A topology file: its name as people know it, its text, and where each value stands."""

    name: str
    text: str
    places: dict[Path, Place] = field(default_factory=dict, repr=False)

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text, without their ends."""
        return _LINE_BREAK.split(self.text)

    def offset(self, line: int, column: int) -> int:
        """How many characters stand before a place; line and column count from 0."""
        if line == 0:
            return column
        breaks = islice(_LINE_BREAK.finditer(self.text), line - 1, None)
        return next(breaks).end() + column

    def written(self, path: Path) -> str:
        """The first line of a value, as it stands in the file."""
        span = self.span(path)
        return self.lines[span.line - 1][span.column - 1 : span.end_column - 1]

    def span(self, path: Path) -> Span:
        """Where the value at a path stands; of the nearest value around it if it is not there."""
        return self.mark(self._place(path).value)

    def key_span(self, path: Path) -> Span:
        """Where the key that leads to the value at a path stands."""
        place = self._place(path)
        return self.mark(place.key or place.value)

    def mark(self, extent: Extent) -> Span:
        """The part of an extent that lies on its first line."""
        if extent.line >= len(self.lines):  # libyaml ends the last line where nobody did
            last = len(self.lines) - 1
            extent = Extent(last, len(self.lines[-1]), last, len(self.lines[-1]))
        line = self.lines[extent.line]
        end = extent.end_column if extent.end_line == extent.line else len(line.rstrip())
        end = max(end, extent.column + 1)  # what is missing still needs a caret
        return Span(self.name, extent.line + 1, extent.column + 1, end + 1)

    def _place(self, path: Path) -> Place:
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, _TOP)


_TOP = Place(None, Extent(0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in a file a thing was written; nowhere, for a thing that came from a broker."""

    source: Source | None = None
    path: Path = ()

    def span(self, *keys: str | int) -> Span | None:
        """Where the thing's value, or one of the values inside it, stands."""
        return self.source.span((*self.path, *keys)) if self.source else None

    def has(self, *keys: str | int) -> bool:
        """Whether one of the values inside the thing was written."""
        return bool(self.source and (*self.path, *keys) in self.source.places)

    def key_span(self, *keys: str | int) -> Span | None:
        """Where the thing's name, or the name of one of the values inside it, stands."""
        return self.source.key_span((*self.path, *keys)) if self.source else None


NOWHERE = Origin()
