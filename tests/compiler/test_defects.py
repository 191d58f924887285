"""A defect planted in a sound topology is reported, and of a sound one nothing is said."""

from __future__ import annotations

from itertools import islice

import pytest
from planted.corpus import PLANTINGS, planted_in
from planted.slip import Planting
from planted.sound import Sound, sound
from planted.verdict import alarms, is_found

NAMES = [f"{code}, {planting.__name__.strip('_')}" for code, planting in PLANTINGS]


@pytest.mark.parametrize(("code", "planting"), PLANTINGS, ids=NAMES)
def test_a_planted_defect_is_reported(code: str, planting: Planting) -> None:
    """The first place of each topology that has one; `bench/defects.py` tries many more."""
    planted = 0
    for base in sound():
        for mutant in islice(planted_in(base, code, planting), 1):
            found, others = is_found(mutant)
            assert found, f"in {base.name} of {mutant.about}; instead {others}\n{mutant.data!r}"
            planted += 1
    assert planted


@pytest.mark.parametrize("base", sound(), ids=lambda base: base.name)
def test_of_a_sound_topology_nothing_is_said(base: Sound) -> None:
    assert alarms(base) == []
