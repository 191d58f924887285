"""A defect planted in a sound topology is reported, and of a sound one nothing is said."""

from __future__ import annotations

import pytest
from defects import is_found
from planting import PLANTINGS, Mutant
from planting.slips import Planting
from planting.sound_topologies import Sound, sound, text_of

from routewright.compiler import compile_text

NAMES = [f"{code}, {planting.__name__.strip('_')}" for code, planting in PLANTINGS]


@pytest.mark.parametrize(("code", "planting"), PLANTINGS, ids=NAMES)
def test_a_planted_defect_is_reported(code: str, planting: Planting) -> None:
    """The first place of each topology that has one; `bench/defects.py` tries many more."""
    planted = 0
    for base in sound():
        for about, document in planting(base):
            mutant = Mutant(planting.__name__, base.name, code, about, text_of(document))
            found, others = is_found(mutant)
            assert found, f"in {base.name} of {about}; instead {others}\n{mutant.text}"
            planted += 1
            break
    assert planted


@pytest.mark.parametrize("base", sound(), ids=lambda base: base.name)
def test_of_a_sound_topology_nothing_is_said(base: Sound) -> None:
    for text in (base.text, text_of(base.document)):
        assert compile_text(text).diagnostics == ()
