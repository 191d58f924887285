"""What of a plan may be created at once and in any order, since no message can come there yet.

These are new exchanges and queues, and bindings of new exchanges. The broker takes definitions
faster than single declarations, and on all its processors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import takewhile
from typing import Any

from routewright.compiler.broker.changes import Bind, DeclareExchange, DeclareQueue
from routewright.compiler.broker.ownership import entry, mark
from routewright.compiler.broker.steps import Change, Own
from routewright.compiler.topology import Binding, Exchange, Queue

WORTH_IT = 50  # changes; fewer are declared one by one, and seen to be


def created_at_once(planned: Sequence[Change], alternates: Collection[str]) -> Sequence[Change]:
    """The changes at the beginning of a plan that may be made together; none if they are few.

    `alternates` are the alternate exchanges of what is there: messages may come to those.
    """
    new = {it.exchange.name for it in planned if isinstance(it, DeclareExchange)} - {*alternates}
    found = [*takewhile(lambda it: _is_early(it, new), planned)]
    # An integer in a binding's arguments would be of another type than AMQP gives it.
    found = [it for it in found if not (isinstance(it, Bind) and it.binding.arguments)]
    return found if len(found) >= WORTH_IT else ()


def _is_early(change: Change, new: Collection[str]) -> bool:
    match change:
        case Own() | DeclareQueue():
            return True
        case DeclareExchange(exchange):
            return exchange.name in new
        case Bind(binding):
            return binding.source.name in new
        case _:
            return False


def sections(changes: Sequence[Change], vhost: str) -> Iterator[dict[str, Any]]:
    """Definitions that make the changes: first what is owned, then the things themselves."""
    owned = [it for it in changes if isinstance(it, Own)]
    if owned:
        yield {
            "exchanges": [_exchange(mark(owner), vhost) for owner in {it.topology for it in owned}],
            "queues": [],
            "bindings": [_binding(entry(it.topology, it.kind, it.name), vhost) for it in owned],
        }
    yield {
        "exchanges": [
            _exchange(it.exchange, vhost) for it in changes if isinstance(it, DeclareExchange)
        ],
        "queues": [_queue(it.queue, vhost) for it in changes if isinstance(it, DeclareQueue)],
        "bindings": [_binding(it.binding, vhost) for it in changes if isinstance(it, Bind)],
    }


def _exchange(it: Exchange, vhost: str) -> dict[str, Any]:
    return {
        "name": it.name,
        "vhost": vhost,
        "type": it.type,
        "durable": it.durable,
        "auto_delete": it.auto_delete,
        "internal": it.internal,
        "arguments": plain(it.arguments),
    }


def _queue(it: Queue, vhost: str) -> dict[str, Any]:
    return {
        "name": it.name,
        "vhost": vhost,
        "durable": it.durable,
        "auto_delete": it.auto_delete,
        "arguments": plain(it.arguments),
    }


def _binding(it: Binding, vhost: str) -> dict[str, Any]:
    return {
        "source": it.source.name,
        "vhost": vhost,
        "destination": it.destination.name,
        "destination_type": "queue" if isinstance(it.destination, Queue) else "exchange",
        "routing_key": it.key,
        "arguments": plain(it.arguments),
    }


def plain(value: Any) -> Any:
    """Any mapping or sequence as one that json can write."""
    if hasattr(value, "keys"):
        return {name: plain(value[name]) for name in value}
    if isinstance(value, (list, tuple)):
        return [plain(it) for it in value]
    return value
