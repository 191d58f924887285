"""What running worker groups have in common, be they processes or threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from media import Done

START, STOP = 120.0, 15.0  # seconds that workers may take


class DemoFailed(Exception):
    """Something did not go as the demo promises; the message is one line."""


class Groups(Protocol):
    """Running worker groups; a context manager that stops them."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...

    def check(self) -> None:
        """Raise `DemoFailed` if a group has ended by itself."""

    def ran(self, done: Done) -> str:
        """Which worker a task says that it ran in."""
        ...


def wait(
    condition: Callable[[], bool], check: Callable[[], None], seconds: float, otherwise: str
) -> None:
    """Wait for a condition, and let `check` raise if that has become pointless.

    Raises:
        DemoFailed: it took too long.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        check()
        if time.monotonic() > deadline:
            raise DemoFailed(f"{otherwise} within {seconds:g} s")
        time.sleep(0.01)
