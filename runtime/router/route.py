"""What a generated router is made of; it imports nothing but the standard library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from routewright.runtime.errors import InvalidParameter, UnknownGroup, UnknownTask
from routewright.runtime.router.delay_ladder import DelayLadder
from routewright.runtime.router.exchanges import Exchange, Graph
from routewright.runtime.router.limits import MAX_SHORT_STRING
from routewright.runtime.router.retry_policy import RetryPolicy
from routewright.runtime.router.topics import matches

HARMLESS = ("json", "msgpack", "yaml")  # serializers; reading them runs no code of the sender's
MAX_REMEMBERED = 10_000  # names that were met and match a pattern

TaskName = TypeVar("TaskName", bound=str)


@dataclass(frozen=True, slots=True)
class Route:
    """Where the messages of one task go, and how they are sent.

    `queues` are those the compiler proved the key to reach, in sorted order, and `taps` those of
    them that only get a copy and run no task. `priority` is 0 (the highest) to 9 (the lowest), or
    None for the broker's default. `expires` is in seconds. `accepted` are the serializers that all
    worker groups read which get the task. `multicast` lets it run in each of several work queues.

    A routing key may have placeholders, as `orders.{region}.created`: `parameters` has the values
    that each may take, or none where any plain word will do. `queues` are then those of all keys
    together, and `queues_by_key`, where every placeholder's values are listed, those of each.
    Where they are not and the keys reach different queues, or an exchange chooses among queues,
    `varies` is set: which queues a key reaches is then for the broker to say.

    `retry` is how often a task that fails is tried again. A worker acknowledges a message when its
    task is over, or before it starts where the route says `early`. `soft_time_limit` and
    `time_limit` are seconds that it may run.

    `task` may be a pattern, as `feeds.*`; then `{task}` in the key stands for the name that matches
    it, and `queues` are those of all names together.
    """

    task: str
    exchange: str
    routing_key: str
    queues: tuple[str, ...]
    headers: Mapping[str, Any] = field(default_factory=dict)
    priority: int | None = None
    serializer: str = "json"
    mandatory: bool = True
    immediate: bool = False
    ignore_result: bool = False
    expires: float | None = None
    taps: tuple[str, ...] = ()
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    queues_by_key: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    varies: bool = False
    accepted: tuple[str, ...] = HARMLESS
    multicast: bool = False
    retry: RetryPolicy | None = None
    early: bool = False
    soft_time_limit: float | None = None
    time_limit: float | None = None

    def named(self, task: str) -> Route:
        """The route of a task whose name matches this one's.

        Raises:
            InvalidParameter: with that name, the routing key would be too long.
        """
        words = self.routing_key.split(".")
        key = ".".join(task if word == "{task}" else word for word in words)
        if key != self.routing_key:
            self._check_length(key)
        return replace(self, task=task, routing_key=key)

    def filled(self, kwargs: Mapping[str, Any]) -> Route:
        """The route of one call: its key with the call's keyword arguments for placeholders.

        Raises:
            InvalidParameter: an argument is missing, or is not one of the words that it may be.
        """
        if not self.parameters:
            return self
        values = {f"{{{name}}}": self._word(name, kwargs) for name in self.parameters}
        key = ".".join(values.get(word, word) for word in self.routing_key.split("."))
        self._check_length(key)
        queues = self.queues_by_key.get(key, self.queues)
        return replace(self, routing_key=key, queues=queues, parameters={}, queues_by_key={})

    def _check_length(self, key: str) -> None:
        size = len(key.encode())
        if size > MAX_SHORT_STRING:
            raise InvalidParameter(
                f"task `{self.task}`: the routing key has {size} bytes, and the most is "
                f"{MAX_SHORT_STRING}"
            )

    def _word(self, name: str, kwargs: Mapping[str, Any]) -> str:
        known = self.parameters[name]
        if name not in kwargs:
            raise InvalidParameter(
                f"task `{self.task}`: its routing key `{self.routing_key}` wants the keyword "
                f"argument `{name}`"
            )
        value = kwargs[name]
        if not isinstance(value, str):
            raise InvalidParameter(
                f"task `{self.task}`: `{name}` is a word of its routing key, and no text but of "
                f"type {type(value).__name__}"
            )
        if known and value not in known:
            raise InvalidParameter(
                f"task `{self.task}`: `{name}` is {value!r}, and its routing key is compiled for "
                f"{', '.join(known)}"
            )
        if not value or "." in value or value in ("*", "#"):
            raise InvalidParameter(
                f"task `{self.task}`: `{name}` is {value!r}, which is no word of a routing key"
            )
        return value


@dataclass(frozen=True, slots=True)
class Group:
    """The queues that one kind of worker consumes, and how many tasks it runs at a time.

    Each of the `processes` runs `concurrency` tasks at a time. `prefetch` is how many messages each
    queue's consumer may hold unacknowledged, and `accept` the serializers that the group reads.
    """

    name: str
    queues: tuple[str, ...]
    concurrency: int = 1
    prefetch: int = 1
    accept: tuple[str, ...] = HARMLESS
    processes: int = 1


def readers(groups: Iterable[Group]) -> dict[str, list[Group]]:
    """The worker groups that consume each queue."""
    found: dict[str, list[Group]] = {}
    for group in groups:
        for queue in group.queues:
            found.setdefault(queue, []).append(group)
    return found


def accepted(queues: Iterable[str], read: Mapping[str, list[Group]]) -> tuple[str, ...]:
    """The serializers that every group reads which gets the messages of these queues."""
    groups = [group for name in queues for group in read.get(name, ())]
    if not groups:
        return HARMLESS
    first, *others = groups
    return tuple(name for name in first.accept if all(name in it.accept for it in others))


class Router(Generic[TaskName]):
    """The compiled routing of one topology: an exact table from task name to `Route`.

    Behind the table stand the routes whose tasks are patterns, the more specific ones first. A name
    that one of them takes is in the table from then on.

    Beside the table stands the graph of the exchanges, for calls that choose their own exchange or
    key. `fronts` are the exchanges that stand in front of others, by these; what is sent to one of
    those goes to its front. `parking` is the queue for messages that cannot be dealt with; without
    one, those of the `rejecting` queues are rejected, and so dead-lettered. The `limited` queues
    have a delivery limit of their own. With `events`, senders and workers say what happens to each
    task.

    The type parameter is the `Literal` of the topology's task names, so that a type checker
    refuses a misspelt one.
    """

    __slots__ = (
        *(
            "_patterns",
            "_readers",
            "_routes",
            "delays",
            "events",
            "fronts",
            "graph",
            "groups",
            "limited",
            "parking",
        ),
        *("rejecting", "source", "taps", "target", "tasks", "topology", "vhost"),
    )

    tasks: Mapping[str, Route]
    """Every route as it was compiled, by the name of its task, which may be a pattern."""

    def __init__(
        self,
        *,
        topology: str,
        source: str,
        target: str,
        vhost: str | None,
        routes: Iterable[Route],
        groups: Iterable[Group],
        patterns: Iterable[Route] = (),
        exchanges: Iterable[Exchange] = (),
        queues: Iterable[str] = (),
        taps: Iterable[str] = (),
        fronts: Mapping[str, str] = MappingProxyType({}),
        delays: DelayLadder | None = None,
        parking: str | None = None,
        rejecting: Iterable[str] = (),
        limited: Iterable[str] = (),
        events: bool = False,
    ) -> None:
        self.topology = topology
        self.source = source  # the hash of the topology file, "sha256:..."
        self.target = target
        self.vhost = vhost
        self.delays = delays
        self.parking = parking
        self.rejecting = frozenset(rejecting)
        self.limited = frozenset(limited)
        self.events = events
        self._routes = {route.task: route for route in routes}
        self._patterns = tuple(patterns)
        self.tasks = MappingProxyType(
            {**self._routes, **{route.task: route for route in self._patterns}}
        )
        self.groups = {group.name: group for group in groups}
        self.graph = Graph(exchanges, queues)
        self.taps = frozenset(taps)
        self.fronts = fronts
        self._readers = readers(self.groups.values())

    def accepted(self, queues: Iterable[str]) -> tuple[str, ...]:
        """The serializers that every group reads which gets the messages of these queues."""
        return accepted(queues, self._readers)

    def resolve(self, task: TaskName) -> Route:
        """The route of a task.

        Raises:
            UnknownTask: the topology declares no task of that name.
            InvalidParameter: the name makes a routing key that is too long.
        """
        try:
            return self._routes[task]
        except KeyError:
            return self._find(task)

    def _find(self, task: TaskName) -> Route:
        for route in self._patterns:
            if matches(route.task, task):
                named = route.named(task)
                remembered = len(self._routes) + len(self._patterns) - len(self.tasks)
                if remembered < MAX_REMEMBERED:
                    self._routes[task] = named
                return named
        raise UnknownTask(task, self.topology, tuple(self.tasks)) from None

    def group(self, name: str) -> Group:
        """The worker group of that name.

        Raises:
            UnknownGroup: the topology declares no such group.
        """
        try:
            return self.groups[name]
        except KeyError:
            raise UnknownGroup(name, self.topology, tuple(self.groups)) from None
