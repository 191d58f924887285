"""What a planting is, and what it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from planted.sound import Document, Sound


@dataclass(frozen=True)
class Application:
    """A topology, and the tasks that have code: by name, with the attributes of the code."""

    document: Document
    tasks: Mapping[str, Mapping[str, Any]]


Made: TypeAlias = Document | bytes | Application
"""A topology with a slip in it; the bytes of a file where it is the file that is damaged."""

Slip: TypeAlias = tuple[str, Made]
"""What the diagnostic must speak of, and what was made."""

Planting: TypeAlias = Callable[[Sound], Iterator[Slip]]
"""Finds every place of a topology to make one kind of slip in."""


def with_queue(base: Sound, queue: Document) -> Document:
    """The document with another queue, `extra`, that is consumed if any is."""
    document = base.changed()
    document["queues"]["extra"] = queue
    if document["workers"]:
        document["workers"]["extra"] = {"queues": ["extra"]}
    return document
