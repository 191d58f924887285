from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from routewright.compiler.diagnostics import Diagnostic, Note, Severity
from routewright.compiler.patterns import Undecided, Wild, topic, witness
from routewright.compiler.routing import Routing
from routewright.compiler.topology import Binding, Topology


def shadowed_binding(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """Whatever a binding matches, other bindings of the same queue match already.

    A queue gets a message once however many bindings match, so that taking the binding away would
    change nothing. It may take several of the others together to cover it.
    """
    groups: defaultdict[tuple[str, str, str], list[Binding]] = defaultdict(list)
    for binding in topology.bindings:
        if binding.source.type == "topic":
            kind = type(binding.destination).__name__
            groups[binding.source.name, kind, binding.destination.name].append(binding)
    for bindings in groups.values():
        if len(bindings) > 1:
            yield from _shadowed(bindings)


def _shadowed(bindings: list[Binding]) -> Iterator[Diagnostic]:
    standing = list(bindings)
    for binding in sorted(bindings, key=lambda it: -len(it.key)):
        others = [it for it in standing if it is not binding]
        # Words alone never cover a wildcard, nor another word.
        covering = [it for it in others if any(isinstance(p, Wild) for p in topic(it.key))]
        if not covering:
            continue
        try:
            uncovered = witness([topic(binding.key)], [topic(it.key) for it in others])
        except Undecided:
            continue
        if uncovered is not None:
            continue
        standing.remove(binding)  # of two that cover one another, one must stay
        part = " a part of" if len(covering) > 1 else ""
        yield Diagnostic(
            "shadowed-binding",
            f"every key that `{binding.key}` matches reaches `{binding.destination.name}` by its "
            "other bindings",
            binding.origin.span("binding_key"),
            help="take it away",
            notes=tuple(
                Note(f"`{it.key}` matches{part} them", it.origin.span("binding_key"))
                for it in covering
                if witness([topic(binding.key), topic(it.key)]) is not None
            ),
            severity=Severity.WARNING,
        )
