"""Options whose value is a number of seconds that a clock can wait for."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, TypeAlias

import click

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


class Seconds(click.FloatRange):
    """A number of seconds, which `nan` and `inf` are not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number.

        Raises:
            BadParameter: it is none, or out of the range.
        """
        found = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return found


def seconds_option(name: str, *, default: float, least: float, help_: str) -> Decorator:
    """Returns an option whose value is a number of seconds."""
    return click.option(
        name,
        type=Seconds(min=least),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=help_,
    )
