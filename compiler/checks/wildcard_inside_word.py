from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys.patterns import word_with_a_wildcard
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def wildcard_inside_word(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A binding key has a `*` or a `#` as a part of a word.

    A wildcard is a word by itself. `video*` and `video.#x` match nothing but their own letters.
    """
    for binding in topology.bindings:
        if binding.source.routes_as != "topic":
            continue
        word = word_with_a_wildcard(binding.key)
        if word is not None:
            yield warning(
                "wildcard-inside-word",
                f"`{word}` in the binding key `{binding.key}` is an ordinary word",
                binding.origin.span("binding_key"),
                help="put a dot between a word and a wildcard",
            )
