from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def reserved_name(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """An exchange or a queue is declared under a name that belongs to the broker.

    Names that begin with `amq.` are RabbitMQ's own: declaring one is refused with 403. The empty
    name is the default exchange's, and for a queue it asks the broker to make a name up. The
    exchanges that every broker has (`amq.topic` and the like) can be used without declaring them.
    """
    for kind, declared in (("exchange", topology.exchanges), ("queue", topology.queues)):
        for name, thing in declared.items():
            if not name or name.startswith("amq."):
                yield Diagnostic(
                    "reserved-name",
                    f"the {kind} name `{name}` is reserved for the broker",
                    thing.origin.key_span(),
                    help="choose a name that does not begin with `amq.`"
                    if name
                    else "give it a name",
                )
