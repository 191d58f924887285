"""Which objects of a broker a topology owns, as the broker itself remembers it.

The mark is a durable, internal exchange, `routewright.owned.NAME`, that is bound to itself once for
each thing owned, with a key such as `queue video`; what of a name does not fit into a key, which
has 255 bytes in AMQP, is an argument of the binding. No message ever comes to it. It outlives
restarts, everybody sees it in the management UI, it is exported and imported with the definitions,
and no declaration of the objects by others is refused for it, as it would be for an argument. A
name is written down before the object is created and taken away after it was removed, so that
nothing is lost track of by an apply that is killed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from routewright.compiler.keys.patterns import MAX_KEY_BYTES
from routewright.compiler.model.topology import Arguments, Binding, Exchange

Kind: TypeAlias = Literal["exchange", "queue", "policy"]
KINDS: tuple[Kind, ...] = ("exchange", "queue", "policy")

_PREFIX = "routewright.owned."
_REST = "rest"


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


def ownership_binding(topology: str, kind: Kind, name: str) -> Binding:
    """Returns the binding of a mark that records a thing as owned."""
    exchange, written = mark(topology), f"{kind} {name}"
    key = written.encode()[:MAX_KEY_BYTES].decode(errors="ignore")  # between two characters
    rest = written[len(key) :]
    return Binding(exchange, exchange, key, {_REST: rest} if rest else {})


def read_owned(
    exchanges: Iterable[str], bound: Iterable[tuple[str, str, Arguments]]
) -> dict[str, Owned]:
    """Reads what each topology owns.

    Args:
        exchanges: the names of all exchanges.
        bound: of each binding of a mark, its source, key and arguments.
    """
    found: dict[str, set[tuple[Kind, str]]] = {
        name.removeprefix(_PREFIX): set() for name in exchanges if is_mark(name)
    }
    for exchange, key, arguments in bound:
        written, _, name = f"{key}{arguments.get(_REST, '')}".partition(" ")
        for kind in KINDS:
            if kind == written:
                found.setdefault(exchange.removeprefix(_PREFIX), set()).add((kind, name))
    return {topology: Owned(frozenset(names), marked=True) for topology, names in found.items()}
