"""Diagnostics as data; `reports` turns them into text, JSON and SARIF."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from routewright.compiler.diagnostics.source import Span


MOST_SUGGESTIONS = 100  # nobody reads more of them, and each takes time

_NEAR = 3
_MOST_COMPARED = 200


class Severity(StrEnum):
    """An error stops the compilation; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Note:
    """A second place, or a fact, that explains a diagnostic."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: what is wrong, where, what proves it, and the way out.

    `code` names what is wrong, in kebab-case, and never changes its meaning. `message` is one
    sentence without advice; advice is in `help`. `witness` is a routing key that proves the claim,
    where need be of a message with the `headers`.
    """

    code: str
    message: str
    span: Span | None = None
    help: str | None = None
    notes: tuple[Note, ...] = ()
    severity: Severity = Severity.ERROR
    witness: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)


warning = partial(Diagnostic, severity=Severity.WARNING)
"""Makes a diagnostic that does not stop the compilation."""


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether anything here stops the compilation."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)


def in_file_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Diagnostics as a reader of the file meets them; those without a place come first."""
    return tuple(
        sorted(
            diagnostics,
            key=lambda found: (
                (found.span.line, found.span.column) if found.span else (0, 0),
                found.code,
                found.message,
            ),
        )
    )


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str | None:
    """A help line that names the nearest known name, or what else there is to say."""
    # Comparing with every one of thousands of names, for each of thousands of errors, would take
    # minutes. A misspelling changes the length by little, and one end hardly ever.
    likely = (
        other
        for other in known
        if abs(len(other) - len(name)) <= _NEAR
        and (other[:1] == name[:1] or other[-2:] == name[-2:])
    )
    near = get_close_matches(name, islice(likely, _MOST_COMPARED), 1)
    return f"did you mean `{near[0]}`?" if near else otherwise
