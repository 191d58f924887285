"""Lets the programs beside it import what tests share: nodes of their own, and the oracles."""

from __future__ import annotations

import sys
from pathlib import Path

_TESTS = Path(__file__).parent.parent / "tests"

FOLDERS = [str(_TESTS / name) for name in ("nodes", "oracles")]

sys.path += FOLDERS
