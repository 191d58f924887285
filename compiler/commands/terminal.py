"""What every command prints, and the codes that it exits with.

0 is fine, 1 is findings or differences, 2 is a wrong use or an environment that will not do.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

if TYPE_CHECKING:
    from routewright.compiler.pipeline import Compilation

FINE, FINDINGS, TROUBLE = 0, 1, 2

WIDE = 1000  # columns; a terminal wraps what does not fit, and nothing is cut off

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)


def print_diagnostics(compilation: Compilation) -> None:
    from routewright.compiler.reports.text import printable, summary

    if compilation.diagnostics:
        click.echo(text_of(compilation, sys.stderr.isatty()), err=True)
        counts = summary(compilation.diagnostics)
        click.echo(f"{printable(compilation.source.name)}: {counts}", err=True)


def text_of(compilation: Compilation, on_terminal: bool) -> str:
    from routewright.compiler.reports.text import as_text

    colour = on_terminal and "NO_COLOR" not in os.environ
    return as_text(compilation.diagnostics, compilation.source, colour=colour)


def print_lines(text: str, *, err: bool = False) -> None:
    """Print text of several lines, with nothing in it that a terminal would obey."""
    from routewright.compiler.reports.text import printable

    click.echo("\n".join(printable(line) for line in text.split("\n")), err=err)


def give_up(message: str) -> NoReturn:
    from routewright.compiler.reports.text import printable

    click.echo(printable(f"routewright: {message}"), err=True)
    sys.exit(TROUBLE)
