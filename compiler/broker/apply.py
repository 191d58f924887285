"""Carries changes out; the only file that changes a broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never

from routewright.compiler.broker.changes import (
    Applied,
    Bind,
    Change,
    DeclareExchange,
    DeclareQueue,
    OnStep,
)
from routewright.compiler.broker.declare import bind, declare_exchange, declare_queue, refusal


def apply(
    changes: Sequence[Change],
    channel: Any,
    errors: tuple[type[Exception], ...],
    on_step: OnStep | None = None,
) -> Applied:
    """Carry out changes in their order, each confirmed by the broker before the next.

    Sending them without waiting would save a fifth of the time (1,000 queues, 5,000 bindings), and
    the knowledge of which of them the broker refused.

    Args:
        changes: as `plan` gives them.
        channel: an open channel of kombu's.
        errors: the connection and channel errors of its transport.
        on_step: called after each change.

    Raises:
        BrokerError: a change was refused, or the connection lost; its `applied` is what was done.
    """
    created: list[Change] = []
    repeated: list[Bind] = []
    for done, change in enumerate(changes, 1):
        try:
            _carry_out(change, channel)
        except errors as error:
            raise refusal(error, change, Applied(tuple(created), tuple(repeated))) from error
        if isinstance(change, Bind) and not change.new:
            repeated.append(change)
        else:
            created.append(change)
        if on_step:
            on_step("apply", done, len(changes))
    return Applied(tuple(created), tuple(repeated))


def _carry_out(change: Change, channel: Any) -> None:
    match change:
        case DeclareExchange(exchange):
            declare_exchange(channel, exchange)
        case DeclareQueue(queue):
            declare_queue(channel, queue)
        case Bind(binding):
            bind(channel, binding)
        case _:
            assert_never(change)
