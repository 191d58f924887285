"""The steps of a plan as values: what each does, why, and what it could destroy.

From the live broker to a changed one these types flow, each made from the one before:

    Live (what is there)  +  Topology (what shall be)
      -> Differences      unordered changes, and what stands in the way          (diff.py)
      -> Sequence         changes in an order in which no key is lost or doubled  (order.py)
      -> Plan             steps with reasons, and the fingerprint of what was seen (planning.py)
      -> the broker       carried out, and looked at again                        (deploy.py)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias

from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue
from routewright.compiler.plan.approvals import Code
from routewright.compiler.plan.changes import Bind, DeclareExchange, DeclareQueue
from routewright.compiler.plan.ownership import Kind


@dataclass(frozen=True, slots=True)
class Unbind:
    """Remove a binding."""

    binding: Binding

    def __str__(self) -> str:
        return str(Bind(self.binding))


@dataclass(frozen=True, slots=True)
class RemoveQueue:
    """Remove a queue, provided that it is empty and has no consumers."""

    queue: Queue

    def __str__(self) -> str:
        return f"queue `{self.queue.name}`"


@dataclass(frozen=True, slots=True)
class RemoveExchange:
    """Remove an exchange, provided that nothing is bound to it any more.

    One that stands in, or that only leads to one, may go `with_bindings`.
    """

    exchange: Exchange
    with_bindings: bool = False

    def __str__(self) -> str:
        return f"exchange `{self.exchange.name}`"


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Create a policy, or change it in place."""

    policy: Policy

    def __str__(self) -> str:
        return f"policy `{self.policy.name}`"


@dataclass(frozen=True, slots=True)
class RemovePolicy:
    """Remove a policy."""

    policy: Policy

    def __str__(self) -> str:
        return f"policy `{self.policy.name}`"


@dataclass(frozen=True, slots=True)
class Own:
    """Write down that the topology owns a thing."""

    topology: str
    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} `{self.name}` as owned by `{self.topology}`"


@dataclass(frozen=True, slots=True)
class Disown:
    """Take down that the topology owns a thing."""

    topology: str
    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind} `{self.name}` as owned by `{self.topology}`"


@dataclass(frozen=True, slots=True)
class Replace:
    """Put a thing in the place of one whose attributes can not be changed."""

    old: Exchange | Queue
    new: Exchange | Queue

    def __str__(self) -> str:
        kind = "exchange" if isinstance(self.old, Exchange) else "queue"
        return f"{kind} `{self.old.name}`"


@dataclass(frozen=True, slots=True)
class Move:
    """Move all messages of a queue to another, each confirmed there before it is gone here.

    `keeps_keys` says that they are dead-lettered there by the keys they came with.
    """

    source: Queue
    destination: Queue
    keeps_keys: bool = False

    def __str__(self) -> str:
        return f"messages of queue `{self.source.name}` to queue `{self.destination.name}`"


@dataclass(frozen=True, slots=True)
class Release:
    """Have the consumers of a queue leave it: workers for another one, the others altogether."""

    queue: Queue
    destination: Queue

    def __str__(self) -> str:
        return f"queue `{self.queue.name}` by its consumers, for queue `{self.destination.name}`"


Change: TypeAlias = (
    DeclareExchange
    | DeclareQueue
    | Bind
    | Unbind
    | RemoveQueue
    | RemoveExchange
    | SetPolicy
    | RemovePolicy
    | Own
    | Disown
    | Replace
    | Move
    | Release
)


@dataclass(frozen=True, slots=True)
class Step:
    """A change, why it is made, what it could destroy, and the code that allows it if it needs one.

    One that is `withheld` needs something else first, and is not carried out.
    """

    change: Change
    why: str
    destroys: str = ""
    code: Code | None = None
    withheld: bool = False


def made_anew(planned: Sequence[Change]) -> Sequence[Change]:
    """What belongs in one go with the first of some changes, by which a thing makes room.

    That is the thing as it shall be, and the first bindings of an exchange: between these the
    broker has messages that it cannot route.
    """
    first, following = planned[0], planned[1:2]
    match first, *following:
        case RemoveQueue(old), DeclareQueue(new) if old.name == new.name:
            return following
        case RemoveExchange(old), DeclareExchange(new) if old.name == new.name:
            bindings = takewhile(lambda it: _is_bound_from(it, new.name), planned[2:])
            return [*following, *bindings]
        case _:
            return ()


def _is_bound_from(change: Change, exchange: str) -> bool:
    return isinstance(change, Bind) and change.binding.source.name == exchange


def sign(change: Change) -> str:
    """What a change does to what it names, as one verb."""
    return _VERBS.get(type(change), "remove")


_VERBS: Mapping[type[Change], str] = {
    DeclareExchange: "create",
    DeclareQueue: "create",
    Bind: "add",
    SetPolicy: "set",
    Own: "mark",
    Disown: "unmark",
    Replace: "replace",
    Move: "move",
    Release: "release",
}
