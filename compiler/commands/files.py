"""The topology files that commands are given."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routewright.compiler.commands.terminal import give_up

if TYPE_CHECKING:
    from routewright.compiler.pipeline import Compilation

PATH = click.Path(dir_okay=False, path_type=Path)
file_argument = click.argument("file", type=PATH, default=Path("topology.yaml"), metavar="[FILE]")


def compiled(file: Path) -> Compilation:
    from routewright.compiler import compile_file
    from routewright.compiler.garbage import collector_paused

    try:
        with collector_paused():
            compilation = compile_file(file)
            gc.freeze()  # it stays as long as the command runs, and is never garbage before
            return compilation
    except OSError as error:
        give_up(f"cannot read {file}: {error.strerror or error}")
