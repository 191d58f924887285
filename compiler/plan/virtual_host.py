"""A virtual host as it was read: its topology, who owns what, and what waits in its queues."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.ownership import Owned
from routewright.runtime.messages.orders import worker_of


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
class Counts:
    """The messages and consumers of a queue; the broker's figures are some seconds old."""

    messages: int = 0
    consumers: int = 0


@dataclass(frozen=True, slots=True)
class VirtualHost:
    """A virtual host: its topology without our marks, who owns what, and what lies in the queues.

    `unseen` has sentences about what could not be looked at. `counts` and `consumers` ask the
    broker when they are first called: it takes longer for them than for a list of its queues.
    """

    topology: Topology
    owned: Mapping[str, Owned] = field(default_factory=dict)  # by the owning topology's name
    counts: Callable[[], Mapping[str, Counts]] = dict  # by the queue's name
    consumers: Callable[[], Mapping[str, tuple[str, ...]]] = dict  # tags, by the queue's name
    exclusive: Collection[str] = ()  # queues that are one connection's own
    unseen: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()  # found without seeing what is there

    @property
    def blind(self) -> bool:
        """True if bindings and marks could not be seen."""
        return bool(self.unseen)

    def owned_by(self, topology: str) -> Owned:
        return self.owned.get(topology, Owned())

    def workers_of(self, queue: str) -> tuple[int, int]:
        """Counts the consumers of a queue: workers that can be told to move, and others."""
        tags = self.consumers().get(queue, ())
        workers = sum(worker_of(tag) is not None for tag in tags)
        return workers, len(tags) - workers

    def counts_of(self, queue: str) -> Counts:
        return self.counts().get(queue, Counts())


@dataclass(frozen=True, slots=True)
class Present:
    """The objects of one topology that were found over AMQP, by name, and those that differ."""

    exchanges: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    conflicts: tuple[Conflict, ...] = ()


def _value(value: str | None) -> str:
    return "not set" if value is None else f"`{value}`"
