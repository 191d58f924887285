"""Numbers of random cases: the same few in every run, and many others behind the marker `seeds`."""

from __future__ import annotations

import os
from random import Random

import pytest

SEED = os.environ.get("ROUTEWRIGHT_SEED", "")


def numbers(few: int, many: int) -> list[object]:
    """Parameters of a test: `few` fixed numbers, and `many` that depend on $ROUTEWRIGHT_SEED.

    Without the variable there are the few alone. The id of a test that fails has its number.
    """
    drawn = Random(SEED).sample(range(few, 1_000_000_000), many) if SEED else []
    return [*range(few), *(pytest.param(it, marks=pytest.mark.seeds) for it in drawn)]
