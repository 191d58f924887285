"""The options of a send, and which of them wins: the call's, then the task's, then the route's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from routewright.runtime.errors import InvalidOption
from routewright.runtime.messages.amqp_values import LOWEST_PRIORITY
from routewright.runtime.router.route import Route

if TYPE_CHECKING:
    from routewright.runtime.messages.sequels import Sequels
    from routewright.runtime.sending.connection import Connection


@dataclass(frozen=True, slots=True)
class Options:
    """What a task or a call says about sending; None says nothing.

    `priority` is 0 (the highest) to 9 (the lowest). `expires` is in seconds, or a point in time; a
    naive one is local time, as everywhere in Python. `exchange` and `routing_key`, together or one
    of them, or `queue`, send the task elsewhere than its route.
    """

    exchange: str | None = None
    routing_key: str | None = None
    queue: str | None = None
    priority: int | None = None
    serializer: str | None = None
    headers: Mapping[str, Any] | None = None
    expires: float | datetime | None = None
    mandatory: bool | None = None
    immediate: bool | None = None
    ignore_result: bool | None = None


NO_OPTIONS = Options()
OPTIONS = tuple(it.name for it in fields(Options))


@dataclass(frozen=True, slots=True)
class After:
    """What a task carries that is sent because another is done.

    Its result goes to `reply_to`, if to anybody, and not to the process that sends it. A limit on
    its time, hard or soft, wins over the route's.
    """

    reply_to: str | None
    sequels: Sequels
    timelimit: tuple[float | None, float | None] = (None, None)
    group: str | None = None
    group_index: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call: its options, those of its task's definition, and those that no task can have."""

    task_id: str | None = None
    connection: Connection | None = None
    connect_timeout: float | None = None
    options: Options = NO_OPTIONS
    declared: Options = NO_OPTIONS
    due: datetime | None = None
    after: After | None = None


#: Parameters that a call has beside the options.
CALL_ONLY = (
    *("args", "kwargs", "task_id", "connection", "connect_timeout"),
    *("countdown", "eta"),
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The options of one send, settled; `expires` is a point in time, in UTC."""

    priority: int | None
    serializer: str
    headers: Mapping[str, Any]
    expires: datetime | None
    mandatory: bool
    immediate: bool
    ignore_result: bool


def read_options(where: str, options: Mapping[str, object], *also: str) -> Options:
    """The options of a call or of a decorator, which has those named in `also` besides.

    Raises:
        InvalidOption: there is no such option.
    """
    if not options:
        return NO_OPTIONS
    for name in options:
        if name not in OPTIONS:
            listed = ", ".join(f"`{one}`" for one in (*also, *OPTIONS))
            raise InvalidOption(f"{where} has no option `{name}`; its options are {listed}")
    return Options(**cast("dict[str, Any]", options))


def choose(route: Route, declared: Options, called: Options) -> Chosen:
    """Settle the options of one send.

    Headers are merged; of every other option the first that is said counts.

    Raises:
        InvalidOption: a priority is not 0 to 9, `expires` is no time, or its workers do not read
            the serializer.
    """
    return Chosen(
        priority=_priority(_first(called.priority, declared.priority, route.priority)),
        serializer=_serializer(
            route, _first(called.serializer, declared.serializer, route.serializer)
        ),
        headers={**route.headers, **(declared.headers or {}), **(called.headers or {})},
        expires=_expires(_first(called.expires, declared.expires, route.expires)),
        mandatory=_first(called.mandatory, declared.mandatory, route.mandatory),
        immediate=_first(called.immediate, declared.immediate, route.immediate),
        ignore_result=_first(called.ignore_result, declared.ignore_result, route.ignore_result),
    )


def _first(called: Any, declared: Any, routed: Any) -> Any:
    if called is not None:
        return called
    return routed if declared is None else declared


def _serializer(route: Route, name: object) -> str:
    if not isinstance(name, str):
        raise InvalidOption(f"serializer is the name of one, not {name!r}")
    if name.lower() not in (route.serializer.lower(), *map(str.lower, route.accepted)):
        raise InvalidOption(
            f"task `{route.task}` cannot be sent as {name}: its workers read"
            f" {', '.join(dict.fromkeys((route.serializer, *route.accepted)))} (see `accept` of the"
            " worker groups in the topology)"
        )
    return name


def _priority(priority: object) -> int | None:
    if priority is None:
        return None
    if type(priority) is not int or not 0 <= priority <= LOWEST_PRIORITY:
        raise InvalidOption(f"priority is an int from 0 (highest) to 9 (lowest), not {priority!r}")
    return priority


def _expires(expires: object) -> datetime | None:
    match expires:
        case None:
            return None
        case datetime():
            return expires.astimezone(UTC)
        case bool():
            pass
        case int() | float() if math.isfinite(expires):
            try:
                return datetime.now(UTC) + timedelta(seconds=expires)
            except OverflowError:
                pass
    raise InvalidOption(f"expires is a number of seconds or a datetime, not {expires!r}")
