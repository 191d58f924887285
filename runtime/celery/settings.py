"""What a generated `celery_config.py` is made of: the compiled routes, as Celery asks for them.

Nothing here imports Celery; it calls these objects with what it says in `celery/app/routes.py` and
`celery/app/annotations.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from kombu.entity import Queue

from routewright.runtime.errors import InvalidOption, InvalidParameter, UnknownTask
from routewright.runtime.messages.amqp_values import to_amqp
from routewright.runtime.router.rerouting import route_of
from routewright.runtime.router.route import Route, Router

VIRTUAL = ("redis", "memory")  # targets on which kombu imitates a broker

_ADDRESS = ("exchange", "routing_key", "queue")


class _Given(str):
    """A text that is true even if it is empty.

    Celery takes an empty routing key, or the default exchange's name, for none at all, and then
    publishes to a queue of its own choice.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class _Called:
    """The destination that one of Celery's calls names."""

    exchange: str | None = None
    routing_key: str | None = None
    queue: str | None = None
    headers: Mapping[str, Any] | None = None
    mandatory: bool | None = None


class CeleryRoutes:
    """One of Celery's `task_routes`: says of every task where the compiled router sends it.

    It never leaves a task to Celery's defaults: one that the topology does not declare raises
    `UnknownTask` in the call that sends it.
    """

    def __init__(self, router: Router[Any]) -> None:
        self._router = router
        self._virtual = router.target in VIRTUAL

    def __repr__(self) -> str:
        return f"<routes of topology `{self._router.topology}`>"

    def __call__(
        self,
        name: str,
        args: object = None,  # noqa: ARG002  Celery passes it
        kwargs: Any = None,
        options: MutableMapping[str, Any] | None = None,
        task: Any = None,
        **_: object,
    ) -> dict[str, Any]:
        """The options to send a task with.

        Celery lets the options of the call win over these. So what has been taken account of here
        is taken out of the call's: an address that is spelt out, and the headers.

        Raises:
            UnknownTask, UnknownExchange, UnknownQueue: the topology declares no such thing.
            Unroutable, InvalidOption, InvalidParameter: such a message must not leave.
        """
        called = {} if options is None else options
        if called.get("immediate"):
            raise InvalidOption(f"task `{name}`: RabbitMQ ends a connection that says `immediate`")
        route = route_of(
            self._router,
            self._router.resolve(name),
            _Called(),
            _called(called),
            kwargs or {},
        )
        if route.headers or called.get("headers"):
            called["headers"] = {**route.headers, **(called.get("headers") or {})}
        found = {
            **self._address(route),
            "serializer": route.serializer,
            "mandatory": route.mandatory,
            "headers": called.get("headers"),
            "priority": self._priority(route),
            # Of a task that is known here, Celery reads `expires` before it asks for a route.
            "expiration": route.expires if task is None else None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _address(self, route: Route) -> dict[str, Any]:
        if self._virtual:
            return _queue_of(route)
        return {
            "exchange": route.exchange or _Given(),
            "routing_key": route.routing_key or _Given(),
            # Of any other type, with some quorum queue about, Celery sends what has a countdown to
            # exchanges of its own, which lead it elsewhere.
            "exchange_type": "direct",
        }

    def _priority(self, route: Route) -> int | None:
        return route.priority if self._virtual else to_amqp(route.priority)


def _queue_of(route: Route) -> dict[str, Any]:
    """The address without a RabbitMQ: kombu imitates no exchange but for who declares it."""
    if len(route.queues) != 1 or route.varies:
        raise InvalidOption(
            f"task `{route.task}` does not go to just one queue, and without a RabbitMQ Celery"
            " cannot send it"
        )
    # Of type `direct`, Celery would put a queue of its own choice in place of an empty exchange.
    return {"exchange": "", "routing_key": route.queues[0], "exchange_type": "topic"}


def _called(options: MutableMapping[str, Any]) -> _Called:
    """Takes what a call says about its destination out of its options."""
    exchange, key, queue = (options.pop(name, None) for name in _ADDRESS)
    if "redelivered" in options:  # a retry, which repeats how its message came: perhaps delayed
        exchange = key = None
    return _Called(
        exchange=_name(exchange),
        routing_key=key,
        queue=_name(queue),
        headers=options.get("headers"),
        mandatory=options.get("mandatory"),
    )


def _name(given: Any) -> Any:
    """The name of one of kombu's objects, or what else is given."""
    return getattr(given, "name", given)


class CeleryAnnotations:
    """One of Celery's `task_annotations`: what Celery reads of a task before it asks for a route.

    What the task's own code says wins.
    """

    def __init__(self, router: Router[Any]) -> None:
        self._router = router

    def __repr__(self) -> str:
        return f"<options of topology `{self._router.topology}`>"

    def annotate(self, task: Any) -> dict[str, Any] | None:
        """The attributes to set on a task; None if there are none."""
        try:
            route = self._router.resolve(task.name)
        except (UnknownTask, InvalidParameter):  # Celery's own, of which most are never sent
            return None
        found: dict[str, Any] = {}
        if task.serializer == task.app.conf.task_serializer:
            found["serializer"] = route.serializer
        if route.ignore_result and not task.ignore_result:
            found["ignore_result"] = True
        for name in ("expires", "time_limit", "soft_time_limit"):
            if getattr(task, name) is None:
                found[name] = getattr(route, name)
        return {name: value for name, value in found.items() if value is not None} or None


class ConsumedQueue(Queue):
    """A queue that Celery may consume, and neither declares nor binds.

    A worker with an old configuration would bind it as it once was. And where some queue is a
    quorum queue, Celery would bind each more widely than its topology does, so that it got what is
    meant for others.
    """

    def bind(self, channel: Any) -> Any:
        """The queue on a channel: its name and its arguments, without its bindings."""
        bind: Any = super().bind  # kombu annotates few of its methods
        bound = bind(channel)
        bound.bindings = set()
        return bound


def consumed(queue: Queue) -> Queue:
    """A queue of the topology, for Celery's `task_queues`."""
    make: Any = ConsumedQueue  # kombu annotates no constructor
    found: Queue = make(**{**queue.as_dict(), "no_declare": True})
    return found
