"""What of a plan may be created at once and in any order, since no message can come there yet.

These are new exchanges and queues, and bindings of new exchanges. The broker takes definitions
faster than single declarations, and on all its processors.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any, TypeVar

from routewright.compiler.broker.changes import Bind, DeclareExchange, DeclareQueue
from routewright.compiler.broker.ownership import entry, mark
from routewright.compiler.broker.steps import Change, Own
from routewright.compiler.topology import Binding, Exchange, Queue

T = TypeVar("T")

AT_ONCE = 4_000  # things in an upload: the broker takes 8 MB, and a thing may have 1 to 2 KB
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


def sections(changes: Sequence[Change], vhost: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Definitions that make the changes, in parts, and how many changes each part is.

    What is owned comes first, then the things themselves, then their bindings.
    """
    owned = [it for it in changes if isinstance(it, Own)]
    exchanges = [it.exchange for it in changes if isinstance(it, DeclareExchange)]
    queues = [it.queue for it in changes if isinstance(it, DeclareQueue)]
    bindings = [it.binding for it in changes if isinstance(it, Bind)]
    for some in _parts(owned):
        marks = {it.topology: mark(it.topology) for it in some}
        yield (
            len(some),
            _section(
                vhost, marks.values(), (), (entry(it.topology, it.kind, it.name) for it in some)
            ),
        )
    for few in _parts(exchanges):
        yield len(few), _section(vhost, few)
    for each in _parts(queues):
        yield len(each), _section(vhost, (), each)
    for bound in _parts(bindings):
        yield len(bound), _section(vhost, (), (), bound)


def _parts(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(things), AT_ONCE):
        yield things[first : first + AT_ONCE]


def _section(
    vhost: str,
    exchanges: Iterable[Exchange] = (),
    queues: Iterable[Queue] = (),
    bindings: Iterable[Binding] = (),
) -> dict[str, Any]:
    return {
        "exchanges": [_exchange(it, vhost) for it in exchanges],
        "queues": [_queue(it, vhost) for it in queues],
        "bindings": [_binding(it, vhost) for it in bindings],
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
