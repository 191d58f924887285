"""The carve-outs of a topology file, with their names resolved."""

from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.keys.patterns import Undecided, intersects, topic
from routewright.compiler.language.spec import QueueSpec, TopologySpec
from routewright.compiler.model.topology import Binding, CarveOut, Exchange, Queue
from routewright.compiler.resolver.names import Names
from routewright.compiler.routing.matching import pattern_of


def resolve_carve_outs(
    spec: TopologySpec, bindings: tuple[Binding, ...], names: Names
) -> tuple[CarveOut, ...]:
    """The carve-outs of a file whose names mean something; the others are reported."""
    return tuple(
        found
        for name, queue in spec.queues.items()
        if queue.carve_out_of is not None
        for found in _carve_out(names.declared.queues[name], queue, bindings, names)
    )


def _carve_out(
    queue: Queue, spec: QueueSpec, bindings: tuple[Binding, ...], names: Names
) -> Iterator[CarveOut]:
    path = queue.origin.path
    original = names.queue(
        spec.carve_out_of or "", (*path, "carve_out_of"), f"what `{queue.name}` is carved out of"
    )
    if spec.bindings or spec.binding_key is None:
        names.findings.report(
            "malformed-carve-out",
            f"`{queue.name}` is carved out of `{spec.carve_out_of}`, and takes one `binding_key` "
            "that says which keys",
            names.source.span((*path, "carve_out_of")),
            "write `{carve_out_of: ..., binding_key: ...}`",
        )
        return
    if original is None:
        return
    if spec.exchange is not None:
        role = f"the exchange of the carve-out `{queue.name}`"
        exchange = names.exchange(spec.exchange, (*path, "exchange"), role)
    else:
        exchange = _exchange_of(original, spec.binding_key, bindings)
        if exchange is None:
            names.findings.report(
                "malformed-carve-out",
                f"no exchange, or more than one, leads `{spec.binding_key}` to `{original.name}`",
                names.source.span((*path, "binding_key")),
                "say which with `exchange: ...`",
            )
    if exchange is not None:
        yield CarveOut(queue, original, exchange, spec.binding_key, names.origin(path))


def _exchange_of(original: Queue, key: str, bindings: tuple[Binding, ...]) -> Exchange | None:
    """The one exchange whose bindings lead some of the keys to the original queue."""
    try:
        sources = _sources(original, key, bindings)
    except Undecided:
        return None
    return sources.popitem()[1] if len(sources) == 1 else None


def _sources(original: Queue, key: str, bindings: tuple[Binding, ...]) -> dict[str, Exchange]:
    return {
        binding.source.name: binding.source
        for binding in bindings
        if binding.destination is original
        and (pattern := pattern_of(binding, {})) is not None
        and intersects(pattern, topic(key))
    }
