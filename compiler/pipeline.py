"""The stages of a compilation, in order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from routewright import __version__
from routewright.compiler.checks import check
from routewright.compiler.diagnostics.diagnostic import (
    Diagnostic,
    Severity,
    has_errors,
    in_file_order,
)
from routewright.compiler.diagnostics.source import Source
from routewright.compiler.emit import Stamp, emit
from routewright.compiler.garbage import collector_paused
from routewright.compiler.language.load import decode, load
from routewright.compiler.lowering.lower import Lowered, lower
from routewright.compiler.model.topology import Topology
from routewright.compiler.resolver.resolve import resolve
from routewright.compiler.routing.delivery import Delivery
from routewright.compiler.routing.routing import Routing

MOST_SHOWN = 1000
MOST_CHARACTERS = 600


@dataclass(frozen=True)
class Compilation:
    """What became of a topology file.

    `lowered` is None when a name in the file means nothing.
    """

    source: Source
    diagnostics: tuple[Diagnostic, ...]
    lowered: Lowered | None = None
    _routing: Routing | None = field(default=None, repr=False)
    _stamp: Stamp | None = field(default=None, repr=False)

    @property
    def topology(self) -> Topology | None:
        """The topology; None when a name in the file means nothing."""
        return None if self.lowered is None else self.lowered.topology

    @property
    def on_broker(self) -> Topology:
        """The topology as it is declared on a broker.

        Raises:
            ValueError: the file has errors that leave it without one.
        """
        if self.lowered is None:
            raise ValueError(f"{self.source.name} has errors and no topology")
        return self.lowered.on_broker

    @cached_property
    def files(self) -> Mapping[str, str]:
        """Names to texts, none of them written; nothing when any diagnostic is an error.

        They are made when they are first asked for: a check does not need them.
        """
        if self.lowered is None or self._routing is None or self._stamp is None:
            return {}
        if has_errors(self.diagnostics):
            return {}
        with collector_paused():
            return emit(self.lowered, self._stamp, self._routing)

    def route(
        self, exchange: str, routing_key: str, headers: Mapping[str, Any] | None = None
    ) -> Delivery:
        """Where a message goes that is published to an exchange of the topology.

        Raises:
            ValueError: the file has errors that leave it without a topology.
        """
        return self.routing.route(exchange, routing_key, headers)

    @property
    def routing(self) -> Routing:
        """The routing of the topology.

        Raises:
            ValueError: the file has errors that leave it without one.
        """
        if self._routing is None:
            raise ValueError(f"{self.source.name} has errors and no routing")
        return self._routing


@collector_paused()
def compile_bytes(
    name: str, data: bytes, environment: Mapping[str, str] | None = None
) -> Compilation:
    """Take a topology file through every stage, stopping after the first that finds errors."""
    # A file's name that is not UTF-8 must still be written to a terminal and into JSON.
    name = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    source, found = decode(name, data)
    if found:
        return Compilation(source, tuple(found))
    spec, found = load(source, os.environ if environment is None else environment)
    if spec is None:
        return Compilation(source, _shown(found))
    topology, found = resolve(spec, source)
    if topology is None:
        return Compilation(source, _shown(found))
    lowered = lower(topology)
    routing = Routing(lowered.topology)
    found = list(lowered.problems) or check(lowered, routing)
    return Compilation(source, _shown(found), lowered, routing, _stamp(name, data))


def _stamp(name: str, data: bytes) -> Stamp:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Stamp(os.path.basename(name), digest, __version__)  # noqa: PTH119  a name, not a file


def _shown(found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Diagnostics in the order of the file, and no more of them than anybody reads."""
    ordered = tuple(replace(it, message=_cut(it.message)) for it in in_file_order(found))
    if len(ordered) <= MOST_SHOWN:
        return ordered
    shown = ordered[:MOST_SHOWN]
    rest = Diagnostic(
        "too-many-errors",
        f"{len(ordered) - MOST_SHOWN:,} further problems are not shown",
        shown[-1].span,
        help="mend the first ones and run again",
        severity=Severity.ERROR if has_errors(ordered) else Severity.WARNING,
    )
    return (*shown, rest)


def _cut(message: str) -> str:
    """A message that quotes a megabyte of the file, without most of it."""
    if len(message) <= MOST_CHARACTERS:
        return message
    half = MOST_CHARACTERS // 2
    return f"{message[:half]} ... {message[-half:]}"
