"""Which objects of a broker a topology owns, as the broker itself remembers it.

The mark is a durable, internal exchange, `routewright.owned.NAME`, that is bound to itself once for
each thing owned, with a key such as `queue video`. No message ever comes to it. It outlives
restarts, everybody sees it in the management UI, it is exported and imported with the definitions,
and no declaration of the objects by others is refused for it, as it would be for an argument. A
name is written down before the object is created and taken away after it was removed, so that
nothing is lost track of by an apply that is killed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from routewright.compiler.topology import Binding, Exchange

Kind: TypeAlias = Literal["exchange", "queue", "policy"]
KINDS: tuple[Kind, ...] = ("exchange", "queue", "policy")

_PREFIX = "routewright.owned."


@dataclass(frozen=True, slots=True)
class Owned:
    """The names of what one topology owns, each with its kind."""

    names: frozenset[tuple[Kind, str]] = frozenset()
    marked: bool = False  # whether the mark is there at all

    def has(self, kind: Kind, name: str) -> bool:
        return (kind, name) in self.names

    def of_kind(self, kind: Kind) -> frozenset[str]:
        """The names of one kind."""
        return frozenset(name for of, name in self.names if of == kind)


def mark(topology: str) -> Exchange:
    """The exchange that remembers what a topology owns."""
    return Exchange(f"{_PREFIX}{topology}", "fanout", internal=True)


def is_mark(exchange: str) -> bool:
    """Whether an exchange of this name is the mark of some topology."""
    return exchange.startswith(_PREFIX)


def entry(topology: str, kind: Kind, name: str) -> Binding:
    """The binding of a mark that stands for a thing."""
    exchange = mark(topology)
    return Binding(exchange, exchange, f"{kind} {name}")


def read(exchanges: Iterable[str], entries: Iterable[tuple[str, str]]) -> dict[str, Owned]:
    """What each topology owns, from the names of exchanges, and marks with their bindings' keys."""
    found: dict[str, set[tuple[Kind, str]]] = {
        name.removeprefix(_PREFIX): set() for name in exchanges if is_mark(name)
    }
    for exchange, key in entries:
        written, _, name = key.partition(" ")
        for kind in KINDS:
            if kind == written:
                found.setdefault(exchange.removeprefix(_PREFIX), set()).add((kind, name))
    return {topology: Owned(frozenset(names), marked=True) for topology, names in found.items()}
