"""Defects planted in sound topologies, each with the code that must be reported for it.

A planting knows one kind of slip and finds every place of a topology to make it in. Whether a slip
is the defect that it should be is decided here without the compiler's own reasoning: by how it is
made, or by brute force.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from planting import dead_letters, language, policies, routing, running, wording
from planting.slips import Planting
from planting.sound_topologies import sound, text_of

_MOST_PLACES = 8  # of one planting in one topology

PLANTINGS: tuple[tuple[str, Planting], ...] = (
    *routing.PLANTINGS,
    *dead_letters.PLANTINGS,
    *language.PLANTINGS,
    *policies.PLANTINGS,
    *running.PLANTINGS,
    *wording.PLANTINGS,
)


@dataclass(frozen=True)
class Mutant:
    """A sound topology with a slip: its making, the code it must meet, and what that is about."""

    planting: str
    base: str
    code: str
    about: str
    text: str


def mutants() -> Iterator[Mutant]:
    for base in sound():
        for code, planting in PLANTINGS:
            for about, document in islice(planting(base), _MOST_PLACES):
                name = planting.__name__.strip("_")
                yield Mutant(name, base.name, code, about, text_of(document))
