"""What can be done to a broker, and what stands against it, as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from routewright.compiler.model.topology import Binding, Exchange, Queue

Phase: TypeAlias = Literal["inspect", "apply"]

OnStep: TypeAlias = Callable[[Phase, int, int], None]
"""Called after each step of long work with the phase, the steps done and all there are."""

OnWait: TypeAlias = Callable[[str, str], None]
"""Told, time and again, of the queue that is waited for, and of whom that is about."""

WAIT = 60.0  # seconds that somebody is waited for, unless others are asked for


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


Change: TypeAlias = DeclareExchange | DeclareQueue | Bind


@dataclass(frozen=True, slots=True)
class Conflict:
    """An object that is there with another argument than the wanted one.

    The values are as the broker writes them, and None where the argument is not set. The broker
    names one argument of an object, the first that differs: there may be more.
    """

    kind: Literal["exchange", "queue"]
    name: str
    argument: str
    broker_value: str | None
    wanted_value: str | None

    def __str__(self) -> str:
        return (
            f"{self.kind} `{self.name}`: `{self.argument}` is {_value(self.broker_value)} "
            f"on the broker and {_value(self.wanted_value)} in the topology"
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done to a broker; of an apply cut short, what had been done by then.

    `repeated` bindings were made between ends that were there already. Where `inspected` is False
    the transport cannot tell what was there, and everything declared counts as created.
    """

    created: tuple[Change, ...] = ()  # in the order it happened; bindings that are new among it
    repeated: tuple[Bind, ...] = ()
    unchanged_exchanges: int = 0
    unchanged_queues: int = 0
    inspected: bool = True

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The names of the exchanges created."""
        return tuple(it.exchange.name for it in self.created if isinstance(it, DeclareExchange))

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the queues created."""
        return tuple(it.queue.name for it in self.created if isinstance(it, DeclareQueue))

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """The bindings that cannot have been there before."""
        return tuple(it.binding for it in self.created if isinstance(it, Bind))

    def __str__(self) -> str:
        """One sentence, without its full stop."""
        created = _counts(len(self.exchanges), len(self.queues), len(self.bindings))
        if not self.inspected:
            return f"declared {created}; what was there before, this transport cannot tell"
        repeated = f"; {_count(len(self.repeated), 'binding')} confirmed" if self.repeated else ""
        if self.created:
            return f"created {created}{repeated}"
        unchanged = self.unchanged_exchanges + self.unchanged_queues
        if not unchanged:
            return f"nothing to do{repeated}"
        found = _counts(self.unchanged_exchanges, self.unchanged_queues, 0)
        return f"nothing to do: {found} {'is' if unchanged == 1 else 'are'} as declared{repeated}"


def _value(value: str | None) -> str:
    return "not set" if value is None else f"`{value}`"


def _counts(exchanges: int, queues: int, bindings: int) -> str:
    numbers = {"exchange": exchanges, "queue": queues, "binding": bindings}
    *most, last = [_count(number, noun) for noun, number in numbers.items() if number] or [
        "nothing"
    ]
    return f"{', '.join(most)} and {last}" if most else last


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
