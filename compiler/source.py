"""The text of a topology file, and the line and column of every value in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indices that lead from the top of the file to a value."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text, within one line; lines and columns count characters from 1."""

    file: str
    line: int
    column: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Where in a file a thing was written."""

    source: Source | None = None
    path: Path = ()


NOWHERE = Origin()
