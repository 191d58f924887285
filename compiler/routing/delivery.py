"""What becomes of a message that is published once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

from routewright.compiler.keys.header_sets import printed
from routewright.compiler.model.topology import Binding, Exchange, Queue

Reach: TypeAlias = tuple[tuple[str, ...], ...]
"""The queues that a message reaches: one set of them, or several of which it reaches one."""

_MOST_SHOWN = 20  # sets of queues; nobody reads more


class Outcome(StrEnum):
    """The outcomes of publishing a message once."""

    DELIVERED = "delivered"
    UNROUTABLE = "unroutable"
    ONE_OF = "one-of"  # an exchange on its way chooses where it goes
    UNDECIDED = "undecided"  # met an exchange whose type nothing is known of
    NO_EXCHANGE = "no-exchange"  # the broker closes the channel with 404


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of a message: out of an exchange by a binding, or to the alternate exchange."""

    exchange: str
    destination: Exchange | Queue
    binding: Binding | None = None  # None: by the alternate exchange, or the default one


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a message goes: the queues' names, sorted; the outcome; and every step on the way.

    `queues` are those that get the message in any case, and `possible` those that may get it
    besides, when the outcome is `one-of` or `undecided`. When it is `one-of`, the message reaches
    just one of the sets of queues in `one_of`, of which one may be empty.
    """

    queues: tuple[str, ...]
    outcome: Outcome
    hops: tuple[Hop, ...] = ()
    possible: tuple[str, ...] = ()
    one_of: Reach = ()

    @property
    def reach(self) -> Reach:
        """The sets of queues of which the message reaches one."""
        return self.one_of or (self.queues,)

    @property
    def may_reach(self) -> tuple[str, ...]:
        """The sorted names of the queues that may get the message."""
        return tuple(sorted({*self.queues, *self.possible}))


@dataclass(frozen=True, slots=True)
class Witness:
    """A message that proves a claim: its key, its headers if it needs any, and where it goes."""

    key: str
    delivery: Delivery
    headers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The key and the headers, for people."""
        headers = f" with headers {printed(self.headers)}" if self.headers else ""
        return f"`{self.key}`{headers}"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A task's message that gets to a queue: the exchange and the key it has, and where it goes."""

    exchange: str
    key: str
    delivery: Delivery


def distinct(deliveries: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """Merges those deliveries of a message that reach the same queues."""
    if len(deliveries) == 1:
        return tuple(deliveries)
    alike: dict[tuple[tuple[str, ...], Outcome], list[Delivery]] = {}
    for it in deliveries:
        alike.setdefault((it.queues, it.outcome), []).append(it)
    return tuple(
        Delivery(queues, outcome, _hops(some), _possible(some, set(queues)))
        for (queues, outcome), some in sorted(alike.items())
    )


def combined(deliveries: Sequence[Delivery]) -> Delivery:
    """Combines all deliveries that a message may have into one that says so."""
    if len(deliveries) == 1:
        return deliveries[0]
    always = set.intersection(*(set(it.queues) for it in deliveries))
    undecided = any(it.outcome is Outcome.UNDECIDED for it in deliveries)
    return Delivery(
        tuple(sorted(always)),
        Outcome.UNDECIDED if undecided else Outcome.ONE_OF,
        _hops(deliveries),
        _possible(deliveries, always),
        () if undecided else tuple(sorted(it.queues for it in deliveries)),
    )


def names_in(reach: Reach) -> tuple[str, ...]:
    """The sorted names of all queues that a message may reach."""
    return tuple(sorted({name for queues in reach for name in queues}))


def listed(reach: Reach) -> str:
    """What a message reaches, for people."""
    sets = [" and ".join(f"`{name}`" for name in queues) or "no queue" for queues in reach]
    if len(sets) == 1:
        return ", ".join(f"`{name}`" for name in reach[0]) or "no queue"
    more = f" and {len(sets) - _MOST_SHOWN:,} more" if len(sets) > _MOST_SHOWN else ""
    return f"one of {', '.join(sets[:_MOST_SHOWN])}{more}"


def _hops(deliveries: Sequence[Delivery]) -> tuple[Hop, ...]:
    """Every step of some deliveries, once."""
    # Equal bindings may stand in several places of a file, and only one of them is meant.
    seen = {
        (hop.exchange, type(hop.destination), hop.destination.name, id(hop.binding)): hop
        for delivery in deliveries
        for hop in delivery.hops
    }
    return tuple(seen.values())


def _possible(deliveries: Sequence[Delivery], always: set[str]) -> tuple[str, ...]:
    return tuple(sorted({name for it in deliveries for name in it.may_reach} - always))
