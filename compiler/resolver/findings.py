"""Collects what is wrong with the names in a topology file."""

from __future__ import annotations

from collections.abc import Iterable

from routewright.compiler.diagnostics.diagnostic import (
    MOST_SUGGESTIONS,
    Diagnostic,
    Note,
    did_you_mean,
)
from routewright.compiler.diagnostics.source import Path, Source, Span


class Findings:
    """The diagnostics of one resolving. Every function of this room reports here and goes on."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.diagnostics: list[Diagnostic] = []
        self._unknown_at: set[Span] = set()

    def report(
        self,
        code: str,
        message: str,
        span: Span | None,
        help_: str,
        notes: tuple[Note, ...] = (),
        witness: str | None = None,
    ) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, help_, notes, witness=witness))

    def report_unknown(
        self, kind: str, name: str, *, path: Path, role: str, known: Iterable[str]
    ) -> None:
        """Reports a name that nothing of a kind has, once for each place in the file.

        An exchange in `defaults` is one mistake, however many tasks use it.
        """
        span = self.source.span(path)
        if span in self._unknown_at:
            return
        self._unknown_at.add(span)
        near = did_you_mean(name, known) if len(self._unknown_at) <= MOST_SUGGESTIONS else None
        self.report(
            f"unknown-{kind}",
            f"{role}, `{name}`, is not declared",
            span,
            near or f"declare it under `{kind}s`",
        )
