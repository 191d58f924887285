"""Resolves the route of one call: the compiled one, or where the call or its task sends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from routewright.runtime.errors import (
    InvalidOption,
    UnknownExchange,
    UnknownQueue,
    Unroutable,
)
from routewright.runtime.router.limits import MAX_SHORT_STRING
from routewright.runtime.router.route import Route, Router


class Destination(Protocol):
    """The destination that a task or a call names; None names nothing."""

    @property
    def exchange(self) -> str | None: ...
    @property
    def routing_key(self) -> str | None: ...
    @property
    def queue(self) -> str | None: ...
    @property
    def headers(self) -> Mapping[str, Any] | None: ...
    @property
    def mandatory(self) -> bool | None: ...


def route_of(
    router: Router[Any],
    route: Route,
    declared: Destination,
    called: Destination,
    kwargs: Mapping[str, Any],
) -> Route:
    """Returns where one call goes, checked against the topology before anything leaves.

    Args:
        router: the compiled routing.
        route: the task's own.
        declared: what the task's definition says; an exchange, key or queue wins over the route's.
        called: what the call says, which wins over both.
        kwargs: the keyword arguments, which may fill placeholders of the route's key.

    Raises:
        UnknownExchange, UnknownQueue: the topology declares none of that name.
        Unroutable: no work queue gets such a message, and it is mandatory.
        InvalidOption: a key or name is none, or the task would run twice.
        InvalidParameter: a placeholder is not filled.
    """
    exchange, key = _asked_for(declared, called)
    headers = {**(declared.headers or {}), **(called.headers or {})}
    if exchange is None and key is None and not (headers and router.graph.looks_at_headers):
        return route.filled(kwargs)
    if key is None:
        key = route.filled(kwargs).routing_key
    mandatory = called.mandatory if called.mandatory is not None else declared.mandatory
    return _checked(
        router,
        route,
        route.exchange if exchange is None else exchange,
        key,
        headers,
        mandatory=route.mandatory if mandatory is None else mandatory,
    )


def _asked_for(declared: Destination, called: Destination) -> tuple[str | None, str | None]:
    """The exchange and the key that are asked for; a queue stands for both."""
    exchange: str | None = None
    key: str | None = None
    for level in (called, declared):
        if level.queue is not None:
            if level.exchange is not None or level.routing_key is not None:
                raise InvalidOption(
                    f"queue `{level.queue}` is where the message goes; leave out `exchange` and"
                    " `routing_key`, or `queue`"
                )
            if exchange is None and key is None:
                return "", level.queue
            break  # what the call says stands in place of the task's queue
        exchange = level.exchange if exchange is None else exchange
        key = level.routing_key if key is None else key
    return exchange, key


def _checked(
    router: Router[Any],
    route: Route,
    exchange: str,
    key: str,
    headers: Mapping[str, Any],
    *,
    mandatory: bool,
) -> Route:
    exchange = router.fronts.get(exchange, exchange)
    _check_names(router, exchange, key)
    sent = {"lang": "py", "task": route.task, **route.headers, **headers}  # as in the protocol
    reached = router.graph.reached(exchange, key, sent)
    found = replace(
        route,
        exchange=exchange,
        routing_key=key,
        queues=reached.queues,
        taps=tuple(name for name in reached.queues if name in router.taps),
        accepted=router.accepted(reached.queues),
        parameters={},
        queues_by_key={},
        varies=not reached.certain,
    )
    work = [name for name in found.queues if name not in found.taps]
    if reached.certain and mandatory and not work:
        raise Unroutable(
            f"task `{route.task}`: no work queue gets `{key}` by exchange `{exchange}`, so nothing"
            " was sent; see `routewright explain`"
        )
    if len(work) > 1 and not route.multicast:
        raise InvalidOption(
            f"task `{route.task}`: `{key}` reaches {len(work)} work queues by exchange"
            f" `{exchange}`, {', '.join(f'`{name}`' for name in work)}, and would run in each; say"
            " `multicast: true` on the task in the topology if it should"
        )
    return found


def _check_names(router: Router[Any], exchange: object, key: object) -> None:
    if not isinstance(exchange, str):
        raise InvalidOption(f"exchange is the name of one, not {exchange!r}")
    if not isinstance(key, str):
        raise InvalidOption(f"routing_key is a text, not {key!r}")
    if len(key.encode(errors="surrogatepass")) > MAX_SHORT_STRING:
        raise InvalidOption(f"routing_key has at most {MAX_SHORT_STRING} bytes, and this one more")
    graph = router.graph
    if not exchange:
        if key not in graph.queues:
            raise UnknownQueue(key, router.topology, tuple(sorted(graph.queues)))
        return
    known = graph.exchanges.get(exchange)
    if known is None:
        raise UnknownExchange(exchange, router.topology, tuple(graph.exchanges))
    if known.internal:
        raise InvalidOption(f"exchange `{exchange}` is internal: nothing can be published to it")
    if known.type == "topic" and not {"*", "#"}.isdisjoint(key.split(".")):
        raise InvalidOption(
            f"routing_key `{key}` is a pattern, as bindings have; a message has plain words"
        )
