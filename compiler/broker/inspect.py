"""Reads a virtual host as a topology, over the management API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from routewright.compiler.broker.errors import NotABroker, Unsupported, VhostRefused
from routewright.compiler.broker.management import Management
from routewright.compiler.definitions import rows
from routewright.compiler.definitions.from_rows import MalformedDefinitions, Parts, assemble
from routewright.compiler.plan.ownership import is_mark, read_owned
from routewright.compiler.plan.virtual_host import Counts, VirtualHost
from routewright.runtime.connect.background import in_background

_MANY_QUEUES, _FEW_EXCHANGES = 200, 40
_AT_A_TIME = 4  # lists
_THE_BROKERS = "amq.rabbitmq."  # where it publishes logs and traces
_ENDS = "source,destination,destination_type,routing_key,arguments"
_TOTALS = {"disable_stats": "true", "enable_queue_totals": "true"}
_QUEUES = {"columns": "name,durable,auto_delete,exclusive,arguments", "disable_stats": "true"}


def look(api: Management) -> VirtualHost:
    """Everything in a virtual host.

    Raises:
        BrokerError: the API cannot be asked, or does not say.
    """
    # Not in pages: for each, the broker would list all queues again.
    queues = api.of_vhost("queues", **_QUEUES)
    exchanges = api.of_vhost("exchanges")
    listed = in_background(lambda: _bindings(api, [it["name"] for it in exchanges], len(queues)))
    policies, operator_policies = api.of_vhost("policies"), api.of_vhost("operator-policies")
    try:
        found = [rows.read_exchange(it) for it in exchanges]
        bound = [rows.read_binding(it) for it in listed.result()]
        parts = Parts(
            [it for it in found if not it.name.startswith(_THE_BROKERS) and not is_mark(it.name)],
            [rows.read_queue(it) for it in queues],
            [it for it in bound if it.source and not is_mark(it.source)],
            [rows.read_policy(it) for it in policies],
            [rows.read_policy(it) for it in operator_policies],
            live=True,
        )
        topology = assemble(parts, str(api.where), api.where.vhost)
    except MalformedDefinitions as error:
        raise Unsupported(str(error)) from None
    except (rows.MalformedRow, AttributeError, TypeError) as error:
        raise NotABroker(f"{api.where} does not answer as RabbitMQ does: {error}") from None
    return VirtualHost(
        topology,
        read_owned(
            (it.name for it in found),
            ((it.source, it.key, it.arguments) for it in bound if is_mark(it.source)),
        ),
        cache(lambda: _counts(api)),
        cache(lambda: _tags(api)),
        frozenset(it["name"] for it in queues if it.get("exclusive")),
    )


def _bindings(api: Management, exchanges: Sequence[str], queues: int) -> list[Any]:
    """All bindings but those of the default exchange, and perhaps these.

    It is the longest of the lists. Where that pays, it is asked for by exchange, a few at a time,
    for the broker makes each list on one of its processors.
    """
    if queues < _MANY_QUEUES or len(exchanges) > _FEW_EXCHANGES:
        return list(api.of_vhost("bindings", columns=_ENDS))

    def of(exchange: str) -> list[Any]:
        path = ("exchanges", exchange, "bindings", "source")
        try:
            return list(api.of_vhost(*path, columns=_ENDS))
        except VhostRefused:  # it has gone since it was listed
            return []

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        return [it for some in pool.map(of, filter(None, exchanges)) for it in some]


def _tags(api: Management) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for it in api.of_vhost("consumers", columns="queue.name,consumer_tag"):
        found[it["queue"]["name"]].append(it["consumer_tag"])
    return {queue: tuple(tags) for queue, tags in found.items()}


def _counts(api: Management) -> dict[str, Counts]:
    queues = api.pages("queues", columns="name,messages,consumers")
    return {it["name"]: Counts(it.get("messages") or 0, it.get("consumers") or 0) for it in queues}


def unacknowledged(api: Management, queue: str | None = None) -> Mapping[str, int]:
    """Counts the messages of queues that are with consumers, by the queue's name.

    A queue reports this statistic some seconds late while it is busy, and at once when it falls
    idle. Neither `if-empty` of `queue.delete` nor the count of `queue.declare` sees these messages.

    Args:
        api: the management API.
        queue: the one queue to ask about; all unless given.

    Raises:
        BrokerError: the API cannot be asked.
    """
    named = {} if queue is None else {"name": queue}  # a part of names, so that others come too
    found = api.pages("queues", **named, **_TOTALS)
    return {it["name"]: it.get("messages_unacknowledged") or 0 for it in found}
