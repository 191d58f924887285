"""The type of the fixture by which tests wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Eventually: TypeAlias = Callable[..., None]
"""Waits for a condition, and fails if it does not come about."""
