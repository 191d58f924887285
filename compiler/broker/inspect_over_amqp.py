"""Compares a topology with a broker over AMQP alone, and changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from amqp.exceptions import AMQPError

from routewright.compiler.broker.amqp_calls import (
    NOT_FOUND,
    PRECONDITION_FAILED,
    RESOURCE_LOCKED,
    declare_exchange,
    declare_queue,
    refusal,
)
from routewright.compiler.model.topology import PREDECLARED, Argument, Exchange, Queue, Topology
from routewright.compiler.plan.progress import OnStep
from routewright.compiler.plan.virtual_host import Conflict, Present

# 406 PRECONDITION_FAILED as RabbitMQ words it; the value may be missing, for the text of an error
# is cut at 255 bytes.
_INEQUIVALENT = re.compile(r"inequivalent arg '(?P<argument>[^']*)'")
_CURRENT = re.compile(
    r" but current is (?:none|the value '(?P<typed>.*)' of type '\w+'|'(?P<plain>.*)')$", re.DOTALL
)
_CUT_OFF = "another value, cut off in the broker's answer"


def inspect(topology: Topology, channel: Any, on_step: OnStep | None = None) -> Present:
    """Look for every exchange and queue of a topology, and compare those that are there.

    A passive declaration tells that an object exists, but compares nothing. Declaring what exists
    a second time changes nothing, and is refused where an argument differs.

    Raises:
        BrokerError: an object may not be looked at, or the connection was lost.
    """
    exchanges: set[str] = set()
    queues: set[str] = set()
    conflicts: list[Conflict] = []
    wanted = [*_declared(topology)]
    for done, item in enumerate(wanted, 1):
        try:
            found = _exists(channel, item)
            conflict = _compare(channel, item) if found else None
        except (AMQPError, OSError) as error:
            raise refusal(error, f"{_kind(item)} `{item.name}`") from error
        if found:
            (exchanges if isinstance(item, Exchange) else queues).add(item.name)
        if conflict:
            conflicts.append(conflict)
        if on_step:
            on_step("inspect", done, len(wanted))
    return Present(frozenset(exchanges), frozenset(queues), tuple(conflicts))


def _declared(topology: Topology) -> Iterator[Exchange | Queue]:
    for name, exchange in sorted(topology.exchanges.items()):
        if name not in PREDECLARED:
            yield exchange
    for _, queue in sorted(topology.queues.items()):
        yield queue


def _exists(channel: Any, item: Exchange | Queue) -> bool:
    """Returns True if an object is there; py-amqp reopens the channel that a "no" closes."""
    try:
        if isinstance(item, Exchange):
            channel.exchange_declare(item.name, item.type, passive=True)
        else:
            channel.queue_declare(item.name, passive=True)
    except AMQPError as error:
        if error.reply_code == NOT_FOUND:
            return False
        if error.reply_code != RESOURCE_LOCKED:
            raise
    return True


def _compare(channel: Any, item: Exchange | Queue) -> Conflict | None:
    try:
        if isinstance(item, Exchange):
            declare_exchange(channel, item)
        else:
            declare_queue(channel, item)
    except AMQPError as error:
        if error.reply_code == RESOURCE_LOCKED:  # another connection's own, gone when it closes
            return Conflict("queue", item.name, "exclusive", "true", "false")
        text = str(error.reply_text)
        inequivalent = _INEQUIVALENT.search(text)
        if error.reply_code != PRECONDITION_FAILED or not inequivalent:
            raise
        argument = inequivalent["argument"]
        wanted = _wanted(item, argument)
        return Conflict(_kind(item), item.name, argument, _broker_value(text), wanted)
    return None


def _kind(item: Exchange | Queue) -> Literal["exchange", "queue"]:
    return "exchange" if isinstance(item, Exchange) else "queue"


def _broker_value(text: str) -> str | None:
    current = _CURRENT.search(text)
    if current is None:
        return _CUT_OFF
    return next((value for value in current.groups() if value is not None), None)


def _wanted(item: Exchange | Queue, argument: str) -> str | None:
    flags = ("type", "durable", "auto_delete", "internal")
    value: Argument | None = (
        getattr(item, argument) if argument in flags else item.arguments.get(argument)
    )
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)
