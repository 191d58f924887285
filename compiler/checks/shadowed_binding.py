from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from routewright.compiler.diagnostics import Diagnostic, Note, Severity
from routewright.compiler.keyspace import key_classes
from routewright.compiler.patterns import Undecided, Wild, topic, witness
from routewright.compiler.routing import Routing
from routewright.compiler.table import PatternTable
from routewright.compiler.topology import Binding, Topology


def shadowed_binding(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """Whatever a binding matches, other bindings of the same queue match already.

    A queue gets a message once however many bindings match, so that taking the binding away would
    change nothing. It may take several of the others together to cover it.
    """
    groups: defaultdict[tuple[str, str, str], list[Binding]] = defaultdict(list)
    for binding in topology.bindings:
        if binding.source.routes_as == "topic":
            kind = type(binding.destination).__name__
            groups[binding.source.name, kind, binding.destination.name].append(binding)
    for bindings in groups.values():
        if len(bindings) > 1:
            yield from _shadowed(bindings)


def _shadowed(bindings: list[Binding]) -> Iterator[Diagnostic]:
    # Words alone never cover a wildcard, nor another word.
    covering = {
        id(it): topic(it.key) for it in bindings if any(isinstance(p, Wild) for p in topic(it.key))
    }
    if not covering:
        return
    table: PatternTable[Binding] = PatternTable()
    for binding in bindings:
        table.add(topic(binding.key), binding)
    gone: set[int] = set()
    for binding in sorted(bindings, key=lambda it: -len(it.key)):
        others = _others(binding, table, gone)
        if others is None:
            continue
        gone.add(id(binding))  # of two that cover one another, one must stay
        wide = [it for it in others if id(it) in covering]
        part = " a part of" if len(wide) > 1 else ""
        yield Diagnostic(
            "shadowed-binding",
            f"every key that `{binding.key}` matches reaches `{binding.destination.name}` by its "
            "other bindings",
            binding.origin.span("binding_key"),
            help="take it away",
            notes=tuple(
                Note(f"`{it.key}` matches{part} them", it.origin.span("binding_key")) for it in wide
            ),
            severity=Severity.WARNING,
            witness=witness([topic(binding.key)]),
        )


def _others(binding: Binding, table: PatternTable[Binding], gone: set[int]) -> list[Binding] | None:
    """The bindings that match what a binding does, if one of them does for each of its keys."""
    met: dict[int, Binding] = {}
    try:
        for found in key_classes(table, [topic(binding.key)]):
            others = [it for it in found.values if it is not binding and id(it) not in gone]
            if not others:
                return None
            met.update((id(it), it) for it in others)
    except Undecided:
        return None
    return sorted(met.values(), key=lambda it: it.key) or None
