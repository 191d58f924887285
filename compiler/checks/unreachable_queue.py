from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.model.topology import Binding, Topology
from routewright.compiler.routing.entry_points import sent_by_name
from routewright.compiler.routing.keys_into import KeysInto
from routewright.compiler.routing.routing import Routing

_MOST_NOTES = 5


def unreachable_queue(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """No message can get to a queue, whatever its key, nor do workers park any there.

    It is bound to nothing, or only to internal exchanges that nothing leads to, or that pass on no
    key which its bindings match; or it stands behind an alternate exchange that is never used. By
    the default exchange every queue can be reached by its name; this is said when no task and no
    dead letter of the file uses that. Without tasks in the file nothing is known of who publishes
    where.
    """
    if not topology.tasks:
        return
    public = {name for name, it in topology.exchanges.items() if not it.internal}
    public |= topology.predeclared.keys() - topology.exchanges.keys()
    by_name = sent_by_name(topology, routing)
    reached = KeysInto(routing.graph, public, by_name).reached
    for name, queue in topology.queues.items():
        if name not in reached and queue is not topology.parking:
            bindings = routing.graph.bindings_to(queue)
            yield warning(
                "unreachable-queue",
                f"queue `{name}` is bound only to exchanges from which no key gets to it"
                if bindings
                else f"queue `{name}` is bound to nothing",
                queue.origin.key_span(),
                help="bind it to an exchange that tasks are sent to, or take it away",
                notes=tuple(islice(_what_comes_to(topology, bindings), _MOST_NOTES)),
            )


def _what_comes_to(topology: Topology, bindings: Sequence[Binding]) -> Iterator[Note]:
    """What the exchanges get that a queue is bound to, and what it takes of that."""
    for binding in bindings:
        source = binding.source
        for onward in (it for it in topology.bindings if it.destination is source):
            span = onward.origin.span("binding_key")
            keys = _keys_of(onward)
            yield Note(f"exchange `{source.name}` gets {keys} from `{onward.source.name}`", span)
        for other in topology.every_exchange():
            if other.alternate_exchange == source.name:
                yield Note(
                    f"exchange `{source.name}` gets what no binding of `{other.name}` matches",
                    other.alternate_span,
                )
        span = binding.origin.span("binding_key")
        name = binding.destination.name
        yield Note(f"exchange `{source.name}` leads {_keys_of(binding)} to `{name}`", span)


def _keys_of(binding: Binding) -> str:
    match binding.source.routes_as:
        case "direct" | "topic":
            return f"`{binding.key}`"
        case "headers":
            return f"what has the headers {dict(binding.arguments)}"
        case _:
            return "everything"
