"""The assertions of a topology file, with their names resolved."""

from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.source import Path
from routewright.compiler.language.spec import AssertionSpec, TopologySpec
from routewright.compiler.model.topology import Assertion, Claim, Exchange
from routewright.compiler.resolver.names import Names

_CLAIMS: tuple[Claim, ...] = ("reach", "never", "never_both", "routable")


def resolve_assertions(spec: TopologySpec, names: Names) -> tuple[Assertion, ...]:
    """Every assertion whose names mean something; the others are reported."""
    return tuple(
        found
        for index, assertion in enumerate(spec.assertions)
        for found in _assertion(assertion, spec.defaults.exchange, ("assertions", index), names)
    )


def _assertion(
    spec: AssertionSpec, default: str | None, path: Path, names: Names
) -> Iterator[Assertion]:
    exchange = _exchange(spec, default, path, names)
    claim: Claim = next(name for name in _CLAIMS if getattr(spec, name) is not None)
    listed = () if claim == "routable" else getattr(spec, claim)
    queues = [
        names.queue(name, (*path, claim, index), "a queue of an assertion")
        for index, name in enumerate(listed)
    ]
    if exchange is not None and None not in queues:
        known = tuple(queue for queue in queues if queue)
        yield Assertion(exchange, spec.keys, claim, known, names.origin(path))


def _exchange(
    spec: AssertionSpec, default: str | None, path: Path, names: Names
) -> Exchange | None:
    if spec.exchange is not None:
        return names.exchange(spec.exchange, (*path, "exchange"), "the exchange of an assertion")
    if default is not None:
        return names.exchange(default, ("defaults", "exchange"), "the default exchange")
    names.findings.report(
        "assertion-without-exchange",
        "an assertion speaks of keys, and nothing says on which exchange",
        names.source.span(path),
        "add `exchange: ...` to it, or to `defaults`",
    )
    return None
