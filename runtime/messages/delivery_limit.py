"""The delivery limit of quorum queues, and the headers in which the broker counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Of a quorum queue that has no limit of its own, from RabbitMQ 4.0 on: a message that was given
#: back as often is dropped the next time. RabbitMQ 3.10 has no limit unless one is declared.
DELIVERY_LIMIT = 20

COUNT = "x-delivery-count"
COUNTS = (COUNT, "x-acquired-count")  # headers that the broker writes; 4.3 writes both


def times_given_back(headers: object, *, redelivered: bool) -> int:
    """Returns how many earlier deliveries of a message counted for the limit of its queue.

    A first delivery has no count of the broker's, but may carry one that its sender copied.
    """
    if not redelivered or not isinstance(headers, Mapping):
        return 0
    count: Any = headers.get(COUNT)
    return count if isinstance(count, int) else 0
