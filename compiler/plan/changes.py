"""Everything that a step of a plan can do to a broker: one closed union of changes.

A new kind has to be learnt by all that tell the kinds apart: here `verb`, `file.py` (written and
read); in `planner/` `differences.py` (which makes them), `simulated_host.py`, `course.py`,
`simulate.py`, `order.py`, `needed_approvals.py` and `reasons.py`; in `executor/` `carry_out.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeAlias, assert_never

from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue
from routewright.compiler.plan.ownership import Kind


@dataclass(frozen=True, slots=True)
class DeclareExchange:
    """Create an exchange."""

    exchange: Exchange

    def __str__(self) -> str:
        return f"exchange `{self.exchange.name}`"


@dataclass(frozen=True, slots=True)
class DeclareQueue:
    """Create a queue."""

    queue: Queue

    def __str__(self) -> str:
        return f"queue `{self.queue.name}`"


@dataclass(frozen=True, slots=True)
class Bind:
    """Make a binding.

    It is `new` when one of its ends is. Between ends that are there already it may be there too,
    which AMQP cannot tell; making it once more changes nothing.
    """

    binding: Binding
    new: bool = True

    def __str__(self) -> str:
        binding = self.binding
        kind = "exchange" if isinstance(binding.destination, Exchange) else "queue"
        return (
            f"binding of {kind} `{binding.destination.name}` to exchange "
            f"`{binding.source.name}` with key `{binding.key}`"
        )


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


Declaration: TypeAlias = DeclareExchange | DeclareQueue | Bind
"""The changes that AMQP has a word for and that take nothing away."""

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


def verb(change: Change) -> str:
    """Names what a change does to its object."""
    match change:
        case DeclareExchange() | DeclareQueue():
            return "create"
        case Bind():
            return "add"
        case Unbind() | RemoveQueue() | RemoveExchange() | RemovePolicy():
            return "remove"
        case SetPolicy():
            return "set"
        case Own():
            return "mark"
        case Disown():
            return "unmark"
        case Replace():
            return "replace"
        case Move():
            return "move"
        case Release():
            return "release"
        case _:
            assert_never(change)


def recreated_with(planned: Sequence[Change]) -> Sequence[Change]:
    """Returns the changes that belong at once with the first, where that makes room for a thing.

    They declare the thing again, and bind an exchange for the first time: in between, the broker
    has messages that it cannot route.
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
