"""The templates, and the one way to fill them."""

from __future__ import annotations

from collections.abc import Iterable

from jinja2 import Environment, PackageLoader, StrictUndefined

from routewright.compiler.emit.literal import literal

_environment = Environment(
    loader=PackageLoader("routewright.compiler.emit"),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701 - the output is Python, and `literal` does its quoting
)
_environment.filters["literal"] = literal


_WIDTH = 88  # columns; that of ruff's and black's defaults


def import_from(module: str, names: Iterable[str]) -> str:
    """The import of some names, on one line where it fits."""
    given = sorted(names)
    line = f"from {module} import {', '.join(given)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join((f"from {module} import (", *(f"    {name}," for name in given), ")"))


def render(template: str, **context: object) -> str:
    """The text of a generated file, from the template of its name."""
    return _environment.get_template(f"{template}.j2").render(context)
