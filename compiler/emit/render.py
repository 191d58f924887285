"""The templates, and the one way to fill them."""

from __future__ import annotations

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


def render(template: str, **context: object) -> str:
    """The text of a generated file, from the template of its name."""
    return _environment.get_template(f"{template}.j2").render(context)
