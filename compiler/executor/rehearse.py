"""Tries what takes the place of a thing before the old one goes.

The broker may refuse it: a type of a plugin that is not there, an argument, a dead-letter exchange
that the user may not write to. Found out later, nothing would have its name until somebody acts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any
from uuid import uuid4

from routewright.compiler.broker.amqp_calls import declare_exchange, declare_queue, refusal
from routewright.compiler.broker.errors import BrokerError
from routewright.compiler.model.topology import Exchange, Queue
from routewright.compiler.plan.changes import Change, DeclareExchange, DeclareQueue, recreated_with
from routewright.compiler.plan.standin_names import PREFIX
from routewright.runtime.messages.orders import stand_in_of

_LEFT = 60_000  # milliseconds until a queue is gone that an apply was killed over


def rehearse(
    planned: Sequence[Change],
    connect: Callable[[], AbstractContextManager[Any]],
    errors: tuple[type[Exception], ...],
) -> None:
    """Create what is made anew under other names, for a moment.

    Args:
        planned: all changes, of which nothing is carried out yet.
        connect: opens a connection, for a type that is not known ends it.
        errors: those of a channel and a connection.

    Raises:
        BrokerError: the broker does not take it.
    """
    anew = [it for pair in pairwise(planned) for it in recreated_with(pair)]
    if not anew:
        return
    with ExitStack() as stack:
        channel = None
        with suppress(BrokerError, *errors):  # the user may have one connection only
            channel = stack.enter_context(connect()).channel()
        if channel is None:
            return
        for change in anew:
            try:
                _try(change, channel)
            except errors as error:
                found = refusal(error, change)
                raise type(found)(f"{found}; nothing was changed") from error


def _try(change: Change, channel: Any) -> None:
    match change:
        case DeclareQueue(Queue() as queue):
            name = stand_in_of(str(uuid4()))
            arguments = {**queue.arguments, "x-expires": _LEFT}
            declare_queue(channel, replace(queue, name=name, arguments=arguments))
            channel.queue_delete(name)
        case DeclareExchange(Exchange() as exchange):
            name = f"{PREFIX}{uuid4()}"
            declare_exchange(channel, replace(exchange, name=name, durable=False))
            channel.exchange_delete(name)
        case _:
            raise AssertionError(f"not made anew: {change}")
