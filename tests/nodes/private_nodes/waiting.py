"""Waiting for what a broker does in its own time, and not for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 120  # seconds, for what takes a tenth of one where nothing else is at work

Found = TypeVar("Found")


def until(look: Callable[[], Found | None], patience: float = PATIENCE) -> Found:
    """What there is to see as soon as there is something."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"nothing came in {patience} s")
