"""Looks up the names of exchanges and queues that a topology file uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from routewright.compiler.diagnostics.source import Origin, Path, Source
from routewright.compiler.model.topology import Exchange, Policy, Queue
from routewright.compiler.resolver.findings import Findings


@dataclass(frozen=True, slots=True)
class Declared:
    """The things that a file declares on the broker, and the exchanges that every broker has."""

    policies: Mapping[str, Policy]
    exchanges: Mapping[str, Exchange]
    queues: Mapping[str, Queue]
    predeclared: Mapping[str, Exchange]


@dataclass(frozen=True, slots=True)
class Names:
    """Finds what a name stands for. A name that stands for nothing is reported to `findings`.

    The `role` of a name begins the message about it.
    """

    declared: Declared
    findings: Findings

    @property
    def source(self) -> Source:
        return self.findings.source

    def origin(self, path: Path) -> Origin:
        return Origin(self.source, path)

    def exchange(self, name: str, path: Path, role: str) -> Exchange | None:
        """Returns the declared exchange of a name, or the one that every broker has."""
        declared = self.declared
        exchange = declared.exchanges.get(name) or declared.predeclared.get(name)
        if exchange is None:
            self.findings.report_unknown(
                "exchange", name, path=path, role=role, known=declared.exchanges
            )
        return exchange

    def queue(self, name: str, path: Path, role: str) -> Queue | None:
        """Returns the queue of a name."""
        queue = self.declared.queues.get(name)
        if queue is None:
            known = self.declared.queues
            self.findings.report_unknown("queue", name, path=path, role=role, known=known)
        return queue
