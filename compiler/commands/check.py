"""`routewright check`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routewright import __version__
from routewright.compiler.commands.files import compiled, file_argument
from routewright.compiler.commands.terminal import FINDINGS, FINE, give_up, text_of

if TYPE_CHECKING:
    from routewright.compiler.model.topology import Topology
    from routewright.compiler.pipeline import Compilation


@click.command("check")
@file_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for code-scanning services.",
)
@click.option("--app", metavar="MODULE:APP", help="Compare with the tasks of an application, too.")
@click.option("--strict", is_flag=True, help="Let warnings count as errors do.")
def check_command(file: Path, form: str, app: str | None, strict: bool) -> None:
    """Say everything that is wrong with a topology, and write nothing.

    \b
    Examples:
        routewright check
        routewright check shop.yaml --format sarif > shop.sarif
        routewright check --app shop.tasks:app
    """
    from routewright.compiler.diagnostics.diagnostic import has_errors
    from routewright.compiler.reports.for_programs import as_json, as_sarif
    from routewright.compiler.reports.text import printable, summary

    compilation = compiled(file)
    if app is not None and compilation.topology is not None:
        compilation = _with_app(compilation, compilation.topology, app)
    found = compilation.diagnostics
    match form:
        case "json":
            click.echo(as_json(found))
        case "sarif":
            click.echo(as_sarif(found, __version__))
        case _:
            if found:
                click.echo(text_of(compilation, sys.stdout.isatty()))
            click.echo(f"{printable(compilation.source.name)}: {summary(found)}")
    sys.exit(FINDINGS if has_errors(found) or (strict and found) else FINE)


def _with_app(compilation: Compilation, topology: Topology, app: str) -> Compilation:
    """A compilation with what does not agree with an application among its diagnostics."""
    from routewright.compiler.checks.application import check_app
    from routewright.compiler.diagnostics.diagnostic import in_file_order
    from routewright.runtime.errors import RoutewrightError
    from routewright.runtime.worker.command import load_app

    try:
        loaded = load_app(app)
    except RoutewrightError as error:
        give_up(str(error))
    found = check_app(topology, compilation.routing, loaded)
    return replace(compilation, diagnostics=in_file_order([*compilation.diagnostics, *found]))
