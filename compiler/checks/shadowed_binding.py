from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.kombu_topics import kombu_topic
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Undecided, Wild, topic, witness
from routewright.compiler.model.topology import Binding, Topology
from routewright.compiler.rabbitmq.targets import VIRTUAL
from routewright.compiler.routing.routing import Routing

Reading: TypeAlias = Callable[[str], Pattern]
"""What a binding key means to a broker."""


def shadowed_binding(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """Whatever a binding matches, other bindings of the same queue match already.

    A queue gets a message once however many bindings match, so that taking the binding away would
    change nothing. It may take several of the others together to cover it. On Redis and in memory
    they must cover what kombu lets it match as well.
    """
    readings = (topic, kombu_topic) if topology.target in VIRTUAL else (topic,)
    groups: defaultdict[tuple[str, str, str], list[Binding]] = defaultdict(list)
    for binding in topology.bindings:
        if binding.source.routes_as == "topic":
            kind = type(binding.destination).__name__
            groups[binding.source.name, kind, binding.destination.name].append(binding)
    for bindings in groups.values():
        if len(bindings) > 1:
            yield from _shadowed(bindings, readings)


def _shadowed(bindings: list[Binding], readings: Sequence[Reading]) -> Iterator[Diagnostic]:
    # Words alone never cover a wildcard, nor another word.
    covering = {
        id(it): topic(it.key) for it in bindings if any(isinstance(p, Wild) for p in topic(it.key))
    }
    if not covering:
        return
    tables = [(reading, _table(bindings, reading)) for reading in readings]
    gone: set[int] = set()
    for binding in sorted(bindings, key=lambda it: -len(it.key)):
        ways = [_others(binding, reading, table, gone) for reading, table in tables]
        others = ways[0]
        if others is None or None in ways:
            continue
        gone.add(id(binding))  # of two that cover one another, one must stay
        wide = [it for it in others if id(it) in covering]
        part = " a part of" if len(wide) > 1 else ""
        yield warning(
            "shadowed-binding",
            f"every key that `{binding.key}` matches reaches `{binding.destination.name}` by its "
            "other bindings",
            binding.origin.span("binding_key"),
            help="take it away",
            notes=tuple(
                Note(f"`{it.key}` matches{part} them", it.origin.span("binding_key")) for it in wide
            ),
            witness=witness([topic(binding.key)]),
        )


def _table(bindings: list[Binding], reading: Reading) -> PatternTable[Binding]:
    table: PatternTable[Binding] = PatternTable()
    for binding in bindings:
        table.add(reading(binding.key), binding)
    return table


def _others(
    binding: Binding, reading: Reading, table: PatternTable[Binding], gone: set[int]
) -> list[Binding] | None:
    """The bindings that match what a binding does, if one of them does for each of its keys."""
    met: dict[int, Binding] = {}
    try:
        for found in key_classes(table, [reading(binding.key)]):
            others = [it for it in found.values if it is not binding and id(it) not in gone]
            if not others:
                return None
            met.update((id(it), it) for it in others)
    except Undecided:
        return None
    return sorted(met.values(), key=lambda it: it.key) or None
