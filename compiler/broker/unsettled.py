"""How many messages of queues are with consumers, and not acknowledged: a statistic of RabbitMQ's.

A queue tells it some seconds late while it is busy, and at once when it falls idle. Neither
`if-empty` of `queue.delete` nor the count of `queue.declare` sees these messages.
"""

from __future__ import annotations

from collections.abc import Mapping

from routewright.compiler.broker.management import Management

_TOTALS = {"disable_stats": "true", "enable_queue_totals": "true"}


def unacknowledged(api: Management, queue: str | None = None) -> Mapping[str, int]:
    """The messages that are not acknowledged, by the queue's name; of one queue, or of all.

    Raises:
        BrokerError: the API cannot be asked.
    """
    named = {} if queue is None else {"name": queue}  # a part of names, so that others come too
    found = api.pages("queues", **named, **_TOTALS)
    return {it["name"]: it.get("messages_unacknowledged") or 0 for it in found}
