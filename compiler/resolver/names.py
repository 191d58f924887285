"""What a name in a topology file stands for, and what to say when it stands for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from routewright.compiler.diagnostics.diagnostic import (
    MOST_SUGGESTIONS,
    Diagnostic,
    Note,
    did_you_mean,
)
from routewright.compiler.diagnostics.source import Path, Source, Span
from routewright.compiler.model.topology import PREDECLARED, Exchange, Policy, Queue


@dataclass(frozen=True)
class Names:
    """What a file declares for the broker, and what was found wrong in looking up names."""

    source: Source
    exchanges: Mapping[str, Exchange]
    queues: Mapping[str, Queue]
    found: list[Diagnostic]
    policies: Mapping[str, Policy] = field(default_factory=dict)
    predeclared: Mapping[str, Exchange] = field(default_factory=lambda: PREDECLARED)
    _told: set[Span] = field(default_factory=set)

    def exchange(self, name: str, path: Path, role: str) -> Exchange | None:
        """The exchange of that name, declared or the broker's own; `role` is for the message."""
        exchange = self.exchanges.get(name) or self.predeclared.get(name)
        if exchange is None:
            self._report_unknown("exchange", name, path, role, self.exchanges)
        return exchange

    def queue(self, name: str, path: Path, role: str) -> Queue | None:
        """The queue of that name; `role` is for the message."""
        queue = self.queues.get(name)
        if queue is None:
            self._report_unknown("queue", name, path, role, self.queues)
        return queue

    def report(
        self,
        code: str,
        message: str,
        span: Span | None,
        help_: str,
        notes: tuple[Note, ...] = (),
        witness: str | None = None,
    ) -> None:
        self.found.append(Diagnostic(code, message, span, help_, notes, witness=witness))

    def first_written(self, path: Path, *options: Path) -> Path:
        """The first of several places in which something may have been written."""
        places = [(*path, *option) for option in options]
        return next((place for place in places if place in self.source.places), places[0])

    def _report_unknown(
        self, kind: str, name: str, path: Path, role: str, known: Iterable[str]
    ) -> None:
        span = self.source.span(path)
        if span in self._told:
            return  # an exchange in `defaults` is one mistake, however many tasks use it
        self._told.add(span)
        near = did_you_mean(name, known) if len(self._told) <= MOST_SUGGESTIONS else None
        self.report(
            f"unknown-{kind}",
            f"{role}, `{name}`, is not declared",
            span,
            near or f"declare it under `{kind}s`",
        )
