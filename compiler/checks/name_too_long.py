from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Span
from routewright.compiler.keys.patterns import MAX_KEY_BYTES
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def name_too_long(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A name or a key has more bytes than AMQP can carry.

    Exchange names, queue names, routing keys and binding keys are AMQP short strings: at most 255
    bytes, in UTF-8, so that a letter outside of ASCII counts for two to four.
    """
    for what, text, span in _short_strings(topology):
        size = len(text.encode())
        if size > MAX_KEY_BYTES:
            yield Diagnostic(
                "name-too-long",
                f"{what} `{text[:20]}...` has {size} bytes, and the most is {MAX_KEY_BYTES}",
                span,
                help="shorten it",
            )


def _short_strings(topology: Topology) -> Iterator[tuple[str, str, Span | None]]:
    for exchange in topology.exchanges.values():
        yield "the exchange name", exchange.name, exchange.origin.key_span()
    for queue in topology.queues.values():
        yield "the queue name", queue.name, queue.origin.key_span()
        key = queue.dead_letter_routing_key
        if key is not None:
            span = queue.origin.span("dead_letter", "routing_key")
            yield "the dead-letter routing key", key, span
    for binding in topology.bindings:
        yield "the binding key", binding.key, binding.origin.span("binding_key")
    for task in topology.tasks.values():
        yield "the routing key", task.routing_key, task.key_span
