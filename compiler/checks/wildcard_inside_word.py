from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Severity
from routewright.compiler.keys.patterns import Wild, topic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing

_SIGNS = frozenset(wild.value for wild in Wild)


def wildcard_inside_word(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A binding key has a `*` or a `#` as a part of a word.

    A wildcard is a word by itself. `video*` and `video.#x` match nothing but their own letters.
    """
    for binding in topology.bindings:
        if binding.source.routes_as != "topic":
            continue
        for word in topic(binding.key):
            if not isinstance(word, Wild) and not _SIGNS.isdisjoint(word):
                yield Diagnostic(
                    "wildcard-inside-word",
                    f"`{word}` in the binding key `{binding.key}` is an ordinary word",
                    binding.origin.span("binding_key"),
                    help="put a dot between a word and a wildcard",
                    severity=Severity.WARNING,
                )
                break
