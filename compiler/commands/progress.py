"""A progress bar for long work, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TITLES = {"inspect": "Looking at the broker", "apply": "Declaring"}


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """Something to call after each step with the phase, the steps done and all there are.

    None where standard error is not a terminal, so that nothing is ever drawn into a pipe.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        rows = {phase: bar.add_task(title, visible=False) for phase, title in _TITLES.items()}

        def on_step(phase: str, done: int, total: int) -> None:
            bar.update(rows[phase], completed=done, total=total, visible=True)

        yield on_step
