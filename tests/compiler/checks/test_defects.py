"""A defect planted in a sound topology is reported, and of a sound one nothing is said."""

from __future__ import annotations

from itertools import islice
from random import Random

import pytest
from planted.corpus import PLANTINGS, Mutant, planted_in, some_planted_in
from planted.random_sound import random_sound
from planted.slip import Planting
from planted.sound import Sound, sound
from planted.verdict import alarms, verdict

from routewright.compiler.keys import key_classes as keyspace
from routewright.compiler.reports.explanations import CODES

SEED = 2026
NAMES = [f"{code}, {planting.__name__.strip('_')}" for code, planting in PLANTINGS]


@pytest.fixture(autouse=True)
def _fewer_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """`too-many-key-classes` is said after 2,000 states, which takes a second or two."""
    monkeypatch.setattr(keyspace, "MAX_STATES", 2_000)


@pytest.mark.parametrize(("code", "planting"), PLANTINGS, ids=NAMES)
def test_a_planted_defect_is_reported(code: str, planting: Planting) -> None:
    """The first place of two topologies that have one; `bench/defects.py` tries many more."""
    places = (next(planted_in(base, code, planting), None) for base in sound())
    made = list(islice(filter(None, places), 2))
    for mutant in made:
        see_to(mutant)
    assert made


def test_every_code_is_planted() -> None:
    assert {code for code, _ in PLANTINGS} == set(CODES)


@pytest.mark.parametrize("base", sound(), ids=lambda base: base.name)
def test_of_a_sound_topology_nothing_is_said(base: Sound) -> None:
    assert alarms(base) == []


@pytest.mark.parametrize("number", range(12))
def test_a_defect_in_a_random_topology_is_reported_and_nothing_is_said_before(number: int) -> None:
    base = random_sound(SEED, number)
    assert alarms(base) == []
    for mutant in some_planted_in(base, 4, Random(f"{SEED}/{number}")):
        see_to(mutant)


def see_to(mutant: Mutant) -> None:
    what = verdict(mutant)
    assert what.is_found, f"{mutant.code} of {mutant.about}; instead {what.others}\n{mutant}"
    assert all(is_so for _, is_so in what.keys), f"{what.keys}\n{mutant}"
