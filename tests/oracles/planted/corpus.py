"""All plantings, and the mutants that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from planted import (
    apps,
    assertions,
    carving,
    dead_letters,
    delays,
    names,
    options,
    placeholders,
    plugins,
    policies,
    reading,
    routing,
    shape,
    targets,
    task_names,
    workers,
)
from planted.slip import Application, Made, Planting
from planted.sound import Sound, sound, text_of

_PLACES = (
    reading,
    shape,
    names,
    options,
    routing,
    placeholders,
    task_names,
    carving,
    assertions,
    dead_letters,
    workers,
    targets,
    delays,
    policies,
    plugins,
    apps,
)
PLANTINGS: tuple[tuple[str, Planting], ...] = tuple(
    (code, planting)
    for place in _PLACES
    for code, plantings in place.PLANTINGS.items()
    for planting in plantings
)

_MOST_PLACES = 8  # of one planting in one topology


@dataclass(frozen=True)
class Mutant:
    """A sound topology with a slip: its making, the code it must meet, and what that is about."""

    planting: str
    base: str
    code: str
    about: str
    data: bytes
    with_code: Mapping[str, Mapping[str, Any]] | None = None  # None: nobody asks for the code


def mutants() -> Iterator[Mutant]:
    """Those of the topologies that somebody wrote, up to eight of one planting in each."""
    for base in sound():
        for code, planting in PLANTINGS:
            yield from islice(planted_in(base, code, planting), _MOST_PLACES)


def planted_in(base: Sound, code: str, planting: Planting) -> Iterator[Mutant]:
    """The mutants that one planting makes of one topology."""
    for about, made in planting(base):
        yield _mutant(planting, base, code, about, made)


def some_planted_in(base: Sound, count: int, randomly: Random) -> Iterator[Mutant]:
    """That many mutants of one topology at most, each by another planting."""
    for code, planting in randomly.sample(PLANTINGS, len(PLANTINGS)):
        found = list(islice(planted_in(base, code, planting), randomly.randint(1, 3)))
        if found:
            yield found[-1]
            count -= 1
        if not count:
            return


def _mutant(planting: Planting, base: Sound, code: str, about: str, made: Made) -> Mutant:
    name = planting.__name__.strip("_")
    match made:
        case bytes():
            return Mutant(name, base.name, code, about, made)
        case Application(document, tasks):
            return Mutant(name, base.name, code, about, text_of(document).encode(), tasks)
        case _:
            return Mutant(name, base.name, code, about, text_of(made).encode())
