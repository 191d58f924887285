"""Environment variables in a topology file: `${NAME}` and `${NAME:-default}`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?P<inside>[^}]*)(?P<closed>\}?)")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>.*))?", re.DOTALL)

MOST_CHARACTERS = 1000  # no name or number of a topology is longer, and many a file is repeated


class VariableError(ValueError):
    """A reference to a variable that cannot be filled in; `code` is its diagnostic's."""

    def __init__(self, code: str, message: str, help_: str) -> None:
        super().__init__(message)
        self.code = code
        self.help = help_


def substitute(text: str, environment: Mapping[str, str]) -> str:
    """Fill in the variables of one scalar; `$${` stands for a plain `${`.

    A variable that is set but empty counts as set, unless there is a default, as in a shell.

    Raises:
        VariableError: a variable is not set and has no default, or a reference is malformed.
    """
    if "${" not in text:
        return text

    def fill(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        reference = _INSIDE.fullmatch(match["inside"])
        if not match["closed"] or not reference:
            raise VariableError(
                "malformed-variable",
                f"`{match[0]}` is not a reference to an environment variable",
                "write `${NAME}` or `${NAME:-default}`, or `$${` for a plain `${`",
            )
        name, default = reference["name"], reference["default"]
        value = environment.get(name)
        if default is not None:
            value = value or default
        if value is None:
            raise VariableError(
                "unset-variable",
                f"the environment variable `{name}` is not set",
                f"set it, or give it a default: `${{{name}:-...}}`",
            )
        if not value.isprintable() or len(value) > MOST_CHARACTERS:
            what = "a character that cannot be printed"
            if len(value) > MOST_CHARACTERS:
                what = f"more than {MOST_CHARACTERS:,} characters"
            raise VariableError(
                "malformed-variable",
                f"the environment variable `{name}`, or its default, holds {what}",
                "set it to a short plain text",
            )
        return value

    return _REFERENCE.sub(fill, text)
