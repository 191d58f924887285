"""What of a plan may be created at once and in any order, since no message can come there yet.

These are new exchanges and queues, and bindings of new exchanges.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from routewright.compiler.plan.changes import Bind, DeclareExchange, DeclareQueue
from routewright.compiler.plan.steps import Change, Own

Early: TypeAlias = Own | DeclareExchange | DeclareQueue | Bind

AT_ONCE = 320  # changes; few enough that the broker answers for all of them in time
WORTH_IT = 50  # changes; fewer are made one by one, and seen to be


def created_at_once(planned: Sequence[Change], alternates: Collection[str]) -> Sequence[Early]:
    """The changes at the beginning of a plan that may be made together; none if they are few.

    `alternates` are the alternate exchanges of what is there: messages may come to those.
    """
    new = {it.exchange.name for it in planned if isinstance(it, DeclareExchange)} - {*alternates}
    found: list[Early] = []
    for change in planned:
        match change:
            case Own() | DeclareQueue():
                found.append(change)
            case DeclareExchange(exchange) if exchange.name in new:
                found.append(change)
            case Bind(binding) if binding.source.name in new:
                found.append(change)
            case _:
                break
    return found if len(found) >= WORTH_IT else ()


def rounds(changes: Sequence[Early]) -> Iterator[Sequence[Early]]:
    """The changes in parts of which each needs only those before it: what is owned comes first."""
    for kind in (Own, DeclareExchange, DeclareQueue, Bind):
        alike = [it for it in changes if isinstance(it, kind)]
        for first in range(0, len(alike), AT_ONCE):
            yield alike[first : first + AT_ONCE]
