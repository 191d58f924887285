from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def control_character_in_name(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A name holds a character that cannot be seen.

    RabbitMQ takes line breaks out of the names of exchanges and queues without telling anyone, so
    that what is declared is not what is asked for; and no tool shows the other control characters.
    """
    for kind, declared in (
        ("exchange", topology.exchanges),
        ("queue", topology.queues),
        ("task", topology.tasks),
        ("worker group", topology.groups),
    ):
        for name, thing in declared.items():
            character = next((it for it in name if not it.isprintable()), None)
            if character is not None:
                yield Diagnostic(
                    "control-character-in-name",
                    f"the {kind} name {name!a} holds the character U+{ord(character):04X}",
                    thing.origin.key_span(),
                    help="take it out",
                )
