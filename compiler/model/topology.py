"""A topology as it is meant: names have become the things that they name.

A topology file compiles to this type, and a broker or a file of definitions is read into it. A
thing from a topology file has an `origin`, the place where it is written, which takes no part in
comparison. The properties and methods that end in `span` find parts of a thing there, by the names
of the file's options; they return None for a thing that came from elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from routewright.compiler.diagnostics.source import NOWHERE, Origin, Path, Span
from routewright.compiler.rabbitmq.exchange_types import routes_as
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE, effective_arguments
from routewright.runtime.router.retry_policy import RetryPolicy
from routewright.runtime.router.route import HARMLESS

Argument: TypeAlias = "str | int | float | bool | Sequence[Argument] | Mapping[str, Argument]"
"""What an AMQP table carries and a topology file can write."""

Arguments: TypeAlias = Mapping[str, Argument]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the broker adds to the arguments of all things whose names match a pattern.

    `definition` has the broker's names of policy keys, as `message-ttl`. `apply_to` is `queues`,
    `exchanges` or `all`, or since RabbitMQ 3.12 one type of queue.
    """

    name: str
    pattern: str  # a regular expression, found anywhere in a name
    definition: Arguments
    priority: float = 0
    apply_to: str = "all"
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)

    def key_span(self, key: str) -> Span | None:
        """Where a key of the definition is written."""
        if self.origin.has("definition", "arguments", key):
            return self.origin.span("definition", "arguments", key)
        option = ("alternate_exchange",) if key == ALTERNATE_EXCHANGE else _option_of(f"x-{key}")
        return self.origin.span("definition", *option)


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange, by AMQP's own attributes; its alternate exchange stands in `arguments`."""

    name: str
    type: str = "direct"
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: Arguments = field(default_factory=dict)
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)
    policy: Policy | None = None  # the one that counts, of all that match

    @property
    def alternate_exchange(self) -> str | None:
        """The name of the exchange that gets what this one routes to nothing."""
        name = self.arguments.get(ALTERNATE_EXCHANGE)
        if name is None and self.policy:
            name = self.policy.definition.get(ALTERNATE_EXCHANGE)
        return name if isinstance(name, str) else None

    @property
    def alternate_span(self) -> Span | None:
        """Where the alternate exchange is written: in the exchange or in its policy."""
        if self.policy and ALTERNATE_EXCHANGE not in self.arguments:
            return self.policy.key_span(ALTERNATE_EXCHANGE)
        return self.origin.span("alternate_exchange")

    @property
    def routes_as(self) -> str:
        """The type by whose rules it routes: its own, or the one that a plugin's stands for."""
        return routes_as(self.type, self.arguments)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue; everything but its two flags stands in `arguments`, under the broker's names.

    Those are what the queue is declared with; what counts is `effective`.
    """

    name: str
    durable: bool = True
    auto_delete: bool = False
    arguments: Arguments = field(default_factory=dict)
    tap: bool = False  # gets a copy for audit, logging or replay; runs no task
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)
    policy: Policy | None = None  # the one that counts, of all that match

    @property
    def effective(self) -> Arguments:
        """Its own arguments and those of its policy, merged key by key as the broker does."""
        if self.policy is None:
            return self.arguments
        return effective_arguments(self.arguments, self.policy.definition, self.type)

    @property
    def type(self) -> str:
        """`classic`, `quorum` or `stream`."""
        return str(self.arguments.get("x-queue-type", "classic"))

    @property
    def dead_letter_exchange(self) -> str | None:
        """The name of the exchange that gets what this queue gives up on."""
        name = self.effective.get("x-dead-letter-exchange")
        return name if isinstance(name, str) else None

    @property
    def dead_letter_routing_key(self) -> str | None:
        """The key a dead-lettered message gets; None keeps its own."""
        key = self.effective.get("x-dead-letter-routing-key")
        return key if isinstance(key, str) else None

    def argument_span(self, argument: str) -> Span | None:
        """Where an argument is written: in the queue's declaration, or in its policy."""
        key = argument.removeprefix("x-")
        if argument not in self.arguments and self.policy and key in self.policy.definition:
            return self.policy.key_span(key)
        if self.origin.has("arguments", argument):
            return self.origin.span("arguments", argument)
        return self.origin.span(*_option_of(argument))


@dataclass(frozen=True, slots=True)
class Binding:
    """What makes an exchange pass a message on; it holds both its ends."""

    source: Exchange
    destination: Exchange | Queue
    key: str = ""
    arguments: Arguments = field(default_factory=dict)
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells one binding from another for the broker: both ends, key and arguments."""
        return (
            self.source.name,
            type(self.destination).__name__,
            self.destination.name,
            self.key,
            tuple(sorted((name, repr(value)) for name, value in self.arguments.items()))
            if self.arguments
            else (),
        )


@dataclass(frozen=True, slots=True)
class Task:
    """Where the messages of one task go, and how they are sent; defaults are filled in."""

    name: str
    exchange: Exchange
    routing_key: str = ""  # perhaps with placeholders, as `orders.{region}.created`
    headers: Arguments = field(default_factory=dict)
    priority: int | None = None  # 0 the highest, 9 the lowest; None is the broker's own default
    serializer: str = "json"
    mandatory: bool = True
    immediate: bool = False
    ignore_result: bool = False
    expires: float | None = None  # seconds
    retry: RetryPolicy | None = None
    early: bool = False  # acknowledged before it runs
    soft_time_limit: float | None = None  # seconds
    time_limit: float | None = None  # seconds
    multicast: bool = False  # may run once in each of several work queues
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # what they may be
    is_pattern: bool = False  # the name is one of names, as `feeds.*`
    narrower: tuple[str, ...] = ()  # the names and patterns among them that other tasks have
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)

    @property
    def key_span(self) -> Span | None:
        """Where the routing key is written, or the task's name where `defaults` has it."""
        return self.span_of("routing_key")

    @property
    def exchange_span(self) -> Span | None:
        """Where the exchange is written, or the task's name where `defaults` has it."""
        return self.span_of("exchange")

    def span_of(self, option: str) -> Span | None:
        """Where an option is written, or the task's name where `defaults` has it."""
        origin = self.origin
        return origin.span(option) if origin.has(option) else origin.key_span()


@dataclass(frozen=True, slots=True)
class WorkerGroup:
    """Who consumes what: in each of the processes, so many threads share the group's queues."""

    name: str
    queues: tuple[Queue, ...]
    concurrency: int = 1
    prefetch: int = 1  # unacknowledged messages each queue's consumer may hold
    accept: tuple[str, ...] = HARMLESS  # the serializers whose messages it reads
    processes: int = 1
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class CarveOut:
    """Keys of an exchange that a queue gets instead of another one, which got them before."""

    queue: Queue
    original: Queue
    exchange: Exchange
    key: str
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Delays:
    """How exactly, and how long at most, the broker can delay a message; in milliseconds."""

    resolution: int
    max: int
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)

    @property
    def bits(self) -> int:
        """How many binary digits the longest delay has, counted in steps of the resolution."""
        return (-(-self.max // self.resolution)).bit_length()

    def hold(self, level: int) -> int:
        """How long the queue of a level holds a message; level -1 is the topmost."""
        return self.resolution << range(self.bits)[level]


Claim = Literal["reach", "never", "routable", "never_both"]


@dataclass(frozen=True, slots=True)
class Assertion:
    """What must hold of every key that matches one of `keys`, published to an exchange.

    `reach`: it reaches just the `queues`. `never`: none of them. `routable`: some queue at all.
    `never_both`: no two of them.
    """

    exchange: Exchange
    keys: tuple[str, ...]
    claim: Claim
    queues: tuple[Queue, ...] = ()
    origin: Origin = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything declared, by name, and the bindings in the order of the file."""

    name: str
    target: str = "rabbitmq-3.x"
    vhost: str | None = None  # None: whatever the broker URL says
    exchanges: Mapping[str, Exchange] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    tasks: Mapping[str, Task] = field(default_factory=dict)
    groups: Mapping[str, WorkerGroup] = field(default_factory=dict)
    assertions: tuple[Assertion, ...] = ()
    carve_outs: tuple[CarveOut, ...] = ()  # as declared; `carve` makes exchanges of them
    policies: Mapping[str, Policy] = field(default_factory=dict)
    predeclared: Mapping[str, Exchange] = field(default_factory=lambda: PREDECLARED)
    delays: Delays | None = None  # as declared; `with_delays` makes exchanges and queues of it
    parking: Queue | None = None  # where workers put messages that they cannot deal with
    events: bool = False  # whether senders and workers say what happens to each task

    def exchange(self, name: str) -> Exchange | None:
        """The exchange of that name: a declared one, or one that every broker has."""
        return self.exchanges.get(name) or self.predeclared.get(name)

    def every_exchange(self) -> Iterable[Exchange]:
        """The declared exchanges, and those that every broker has."""
        return {**self.predeclared, **self.exchanges}.values()


def _option_of(argument: str) -> Path:
    """Returns the path of a queue's option that writes an argument."""
    if argument in ("x-dead-letter-exchange", "x-dead-letter-routing-key"):
        return ("dead_letter", argument.removeprefix("x-dead-letter-").replace("-", "_"))
    if argument == "x-queue-type":
        return ("type",)
    return (argument.removeprefix("x-").replace("-", "_"),)


def written_arguments(topology: Topology) -> Iterator[tuple[str, str, Argument, Span | None]]:
    """The arguments that queues and policies say: each by the name written and as a queue's.

    The value and its place follow.
    """
    for queue in topology.queues.values():
        for argument, value in queue.arguments.items():
            yield argument, argument, value, queue.argument_span(argument)
    for policy in topology.policies.values():
        for key, value in policy.definition.items():
            yield key, f"x-{key}", value, policy.key_span(key)


def readers(topology: Topology) -> Mapping[str, Sequence[WorkerGroup]]:
    """The worker groups that consume each queue, by its name."""
    found: defaultdict[str, list[WorkerGroup]] = defaultdict(list)
    for group in topology.groups.values():
        for queue in group.queues:
            found[queue.name].append(group)
    return found


KEYED_TYPES = ("direct", "topic")
"""The types of exchange in which a binding without a key is a slip."""

PREDECLARED: Mapping[str, Exchange] = MappingProxyType(
    {
        name: Exchange(name, type_)
        for name, type_ in (
            ("", "direct"),
            ("amq.direct", "direct"),
            ("amq.fanout", "fanout"),
            ("amq.topic", "topic"),
            ("amq.headers", "headers"),
            ("amq.match", "headers"),
        )
    }
)
"""The exchanges every RabbitMQ virtual host has from its first moment."""
