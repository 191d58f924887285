"""Declares what a broker lacks of a topology, over AMQP alone."""

from __future__ import annotations

from dataclasses import replace

from amqp.exceptions import AMQPError

from routewright.compiler.broker.amqp_calls import refusal
from routewright.compiler.broker.connect import connect, is_amqp
from routewright.compiler.broker.errors import ConflictsFound
from routewright.compiler.broker.inspect_over_amqp import inspect
from routewright.compiler.executor.apply import apply
from routewright.compiler.executor.transport_support import require_support
from routewright.compiler.lowering.delays import with_delays
from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.changes import Applied, OnStep
from routewright.compiler.plan.virtual_host import Present
from routewright.compiler.planner.missing import missing


def apply_topology(
    topology: Topology, url: str, timeout: float = 10.0, on_step: OnStep | None = None
) -> Applied:
    """Declare what is missing of a topology on a broker; a second run has nothing to do.

    Args:
        topology: what shall be there.
        url: the broker's; its virtual host is where it shall be.
        timeout: seconds to connect in, and to wait for each answer.
        on_step: told of progress, first of looking and then of changing.

    Raises:
        ConflictsFound: objects are there with other arguments; nothing was changed.
        BrokerError: anything else that stands in the way; its `applied` is what was done.
    """
    topology = with_delays(topology)
    with connect(url, timeout, topology.vhost) as connection:
        errors = (*connection.connection_errors, *connection.channel_errors, AMQPError, OSError)
        try:
            channel = connection.channel()
        except errors as error:
            raise refusal(error, "opening a channel") from error
        if not is_amqp(connection):
            require_support(topology, channel, connection.transport_cls)
            applied = apply(missing(topology, Present()), channel, errors, on_step)
            return replace(applied, inspected=False)
        present = inspect(topology, channel, on_step)
        if present.conflicts:
            raise ConflictsFound(present.conflicts)
        applied = apply(missing(topology, present), channel, errors, on_step)
        return replace(
            applied,
            unchanged_exchanges=len(present.exchanges),
            unchanged_queues=len(present.queues),
        )
