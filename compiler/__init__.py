"""Compiles a declared message topology into a router, and makes a broker match it."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routewright.compiler.pipeline import Compilation

__all__ = ["compile_file", "compile_text"]


# The pipeline is imported when it is used: the command that starts a worker lives in this package
# too, and has no use for pydantic, PyYAML and jinja2.


def compile_file(path: str | PathLike[str]) -> Compilation:
    """Compile a topology file; nothing is written.

    Raises:
        OSError: the file cannot be read. Whatever is wrong inside of it is a diagnostic.
    """
    from routewright.compiler.language.load import MAX_BYTES  # noqa: PLC0415
    from routewright.compiler.pipeline import compile_bytes  # noqa: PLC0415

    with Path(path).open("rb") as file:
        data = file.read(MAX_BYTES + 1)  # what is longer, perhaps without an end, is refused
    return compile_bytes(os.fspath(path), data)


def compile_text(text: str, name: str = "topology.yaml") -> Compilation:
    """Compile the text of a topology file; `name` is what diagnostics call it."""
    from routewright.compiler.pipeline import compile_bytes  # noqa: PLC0415

    return compile_bytes(name, text.encode(errors="surrogatepass"))
