"""Progress of an apply: what is called while it runs, and what it has done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from routewright.compiler.model.topology import Binding
from routewright.compiler.plan.changes import Bind, Declaration, DeclareExchange, DeclareQueue

Phase: TypeAlias = Literal["inspect", "apply"]

OnStep: TypeAlias = Callable[[Phase, int, int], None]
"""Called after each step of long work with the phase, the steps done and all there are."""

OnWait: TypeAlias = Callable[[str, str], None]
"""Called repeatedly while waiting, with the queue and its remaining consumers."""

WAIT = 60.0  # seconds, the default for the consumers of a queue


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done to a broker; of an apply cut short, what had been done by then.

    `repeated` bindings were made between ends that were there already. Where `inspected` is False
    the transport cannot tell what was there, and everything declared counts as created.
    """

    created: tuple[Declaration, ...] = ()  # in their order; bindings only if they are new
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


def _counts(exchanges: int, queues: int, bindings: int) -> str:
    numbers = {"exchange": exchanges, "queue": queues, "binding": bindings}
    *most, last = [_count(number, noun) for noun, number in numbers.items() if number] or [
        "nothing"
    ]
    return f"{', '.join(most)} and {last}" if most else last


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
