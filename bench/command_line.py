"""The numbers of a measurement on its command line, and the bar that shows it at work."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def numbers(description: str | None, **options: tuple[int, str]) -> argparse.Namespace:
    """Reads whole numbers, each with its default and its help; and `--seed` beside them."""
    parser = argparse.ArgumentParser(description=description)
    options["seed"] = (1, "the same seed, the same cases")
    for name, (default, text) in options.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} ({default})")
    return parser.parse_args()


def progress(*, remaining: bool = True) -> Progress:
    """Returns a bar on standard error, which shows on a terminal only."""
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    return Progress(
        *columns,
        *([TimeRemainingColumn()] if remaining else []),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
