"""Declares what a broker lacks of a topology, over AMQP alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from amqp.exceptions import AMQPError

from routewright.compiler.broker.amqp_calls import declare, refusal
from routewright.compiler.broker.connect import connect, is_amqp
from routewright.compiler.broker.errors import ConflictsFound, Unsupported
from routewright.compiler.broker.inspect_over_amqp import inspect
from routewright.compiler.model.topology import PREDECLARED, Exchange, Topology
from routewright.compiler.plan.changes import Bind, Declaration
from routewright.compiler.plan.progress import Applied, OnStep
from routewright.compiler.plan.virtual_host import Present
from routewright.compiler.planner.missing import missing


def apply_topology(
    topology: Topology, url: str, timeout: float = 10.0, on_step: OnStep | None = None
) -> Applied:
    """Declare what is missing of a topology on a broker; a second run has nothing to do.

    Args:
        topology: what shall be there, as it is declared on a broker.
        url: the broker's; its virtual host is where it shall be.
        timeout: seconds to connect in, and to wait for each answer.
        on_step: told of progress, first of looking and then of changing.

    Raises:
        ConflictsFound: objects are there with other arguments; nothing was changed.
        BrokerError: anything else that stands in the way; its `applied` is what was done.
    """
    with connect(url, timeout, topology.vhost) as connection:
        errors = (*connection.connection_errors, *connection.channel_errors, AMQPError, OSError)
        try:
            channel = connection.channel()
        except errors as error:
            raise refusal(error, "opening a channel") from error
        if not is_amqp(connection):
            _require_support(topology, channel, connection.transport_cls)
            applied = _declare_all(missing(topology, Present()), channel, errors, on_step)
            return replace(applied, inspected=False)
        present = inspect(topology, channel, on_step)
        if present.conflicts:
            raise ConflictsFound(present.conflicts)
        applied = _declare_all(missing(topology, present), channel, errors, on_step)
        return replace(
            applied,
            unchanged_exchanges=len(present.exchanges),
            unchanged_queues=len(present.queues),
        )


def _declare_all(
    changes: Sequence[Declaration],
    channel: Any,
    errors: tuple[type[Exception], ...],
    on_step: OnStep | None = None,
) -> Applied:
    """Carries out declarations in their order, each confirmed by the broker before the next.

    Sending them without waiting would save a fifth of the time (1,000 queues, 5,000 bindings), and
    the knowledge of which of them the broker refused.

    Args:
        changes: as `missing` gives them.
        channel: an open channel of kombu's.
        errors: the connection and channel errors of its transport.
        on_step: called after each change.

    Raises:
        BrokerError: a change was refused, or the connection lost; its `applied` is what was done.
    """
    created: list[Declaration] = []
    repeated: list[Bind] = []
    for done, change in enumerate(changes, 1):
        try:
            declare(channel, change)
        except errors as error:
            raise refusal(error, change, Applied(tuple(created), tuple(repeated))) from error
        if isinstance(change, Bind) and not change.new:
            repeated.append(change)
        else:
            created.append(change)
        if on_step:
            on_step("apply", done, len(changes))
    return Applied(tuple(created), tuple(repeated))


def _require_support(topology: Topology, channel: Any, transport: str) -> None:
    """Refuse a topology that a virtual transport would misunderstand.

    Raises:
        Unsupported: one line that names everything the transport lacks.
    """
    lacking = [*_lacking(topology, channel)]
    if lacking:
        raise Unsupported(f"the transport `{transport}` has no {', no '.join(lacking)}")


def _lacking(topology: Topology, channel: Any) -> Iterator[str]:
    # What a transport advertises is not what it does: memory names "headers" and lacks it.
    types = {*channel.exchange_types} - ({"fanout"} if not channel.supports_fanout else set())
    for name, exchange in sorted(topology.exchanges.items()):
        if name not in PREDECLARED and exchange.type not in types:
            yield f"exchange type `{exchange.type}` (exchange `{name}`)"
    for binding in topology.bindings:
        source, destination = binding.source.name, binding.destination
        if isinstance(destination, Exchange):
            yield f"bindings of exchanges (`{destination.name}` to `{source}`)"
        elif source in PREDECLARED and source:
            yield f"predeclared exchange `{source}`"
