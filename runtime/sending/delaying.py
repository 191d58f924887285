"""Reads when a task is due, and delays its route so that it arrives by then."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from routewright.runtime.errors import InvalidOption
from routewright.runtime.router.delay_ladder import DelayLadder
from routewright.runtime.router.route import Route, Router
from routewright.runtime.transport.broker import Broker


def due_at(countdown: object, eta: object) -> datetime | None:
    """Returns the time that a call asks for, with its offset; a naive `eta` is local time.

    Raises:
        InvalidOption: `countdown` is no number of seconds, `eta` is no time, or both are given.
    """
    if countdown is None and eta is None:
        return None
    if countdown is not None and eta is not None:
        raise InvalidOption("`countdown` and `eta` both say when; give one of them")
    if isinstance(eta, datetime):
        try:
            return eta if eta.utcoffset() is not None else eta.astimezone()
        except (OverflowError, ValueError, OSError):
            pass  # a year that the local time zone has no rule for
    if eta is not None:
        raise InvalidOption(f"eta is a datetime, not {eta!r}")
    return _from_now(countdown)


def _from_now(countdown: object) -> datetime:
    if isinstance(countdown, int | float) and not isinstance(countdown, bool):
        try:
            if math.isfinite(countdown) and countdown >= 0:
                return datetime.now(UTC) + timedelta(seconds=countdown)
        except OverflowError:
            pass
    raise InvalidOption(f"countdown is a number of seconds from 0 on, not {countdown!r}")


def delayed_route(router: Router[Any], broker: Broker, route: Route, time: datetime) -> Route:
    """Returns the route of a message that is to arrive at a time, or now if that is past.

    Without a RabbitMQ it is the same route: the worker holds the message until it is due.

    Raises:
        InvalidOption: the topology delays no task, or none for so long.
    """
    delay = time - datetime.now(UTC)
    if delay <= timedelta():
        return route
    ladder = router.delays
    if not broker.is_amqp:
        if ladder is not None:
            ladder.check(delay)
        return route
    return _by_the_ladder(_ladder_of(router), route, delay)


def route_back(router: Router[Any], broker: Broker, task: str, queue: str, time: datetime) -> Route:
    """Returns the route by which a message that came too early comes back to its queue.

    Where it is due later than the longest delay, it will be early once more.

    Raises:
        InvalidOption: the topology delays no task.
    """
    route = Route(task, "", queue, (queue,))
    if not broker.is_amqp:
        return route
    ladder = _ladder_of(router)
    longest = timedelta(milliseconds=ladder.max)
    delay = min(max(time - datetime.now(UTC), timedelta()), longest)
    return _by_the_ladder(ladder, route, delay)


def _ladder_of(router: Router[Any]) -> DelayLadder:
    if router.delays is None:
        raise InvalidOption(
            f"topology `{router.topology}` cannot send later: declare"
            " `delays: {resolution: 100ms, max: 30d}` in it"
        )
    return router.delays


def _by_the_ladder(ladder: DelayLadder, route: Route, delay: timedelta) -> Route:
    exchange, key = ladder.address(route.exchange, route.routing_key, delay)
    return replace(route, exchange=exchange, routing_key=key)


def early(headers: object) -> datetime | None:
    """Returns the `eta` of a message, if it can be read and is not past yet."""
    written = headers.get("eta") if isinstance(headers, Mapping) else None
    if written is None:
        return None
    try:
        time = datetime.fromisoformat(written)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None
    return time if time > datetime.now(UTC) else None
