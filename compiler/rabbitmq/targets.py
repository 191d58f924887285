"""What the brokers that a topology may be compiled for can do.

RabbitMQ's releases are those of its release notes. kombu's virtual transports, which make a broker
of Redis or of memory, take any argument of a queue or an exchange and heed none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

VIRTUAL = ("redis", "memory")
VIRTUAL_TYPES = ("direct", "topic", "fanout")

_RELEASE = re.compile(r"rabbitmq-(?P<major>[0-9]+)(\.(?P<minor>[0-9]+))?")
_LATEST = 99

SINCE: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "x-queue-type: quorum": (3, 8),
        "x-single-active-consumer": (3, 8),
        "x-queue-type: stream": (3, 9),
        "x-message-ttl on a quorum queue": (3, 10),
        "x-dead-letter-strategy: at-least-once": (3, 10),
        "x-match: all-with-x": (3, 10),
        "x-match: any-with-x": (3, 10),
        "apply_to: classic_queues": (3, 12),
        "apply_to: quorum_queues": (3, 12),
        "apply_to: streams": (3, 12),
    }
)
"""The release of RabbitMQ that first had a feature."""

QUORUM_PRIORITIES = (4, 0)
"""The release of RabbitMQ whose quorum queues first heed priorities, in two levels."""

NO_TRANSIENT_QUEUES = (4, 3)
"""The release of RabbitMQ that first refuses a queue that is neither durable nor exclusive."""


def release(target: str) -> tuple[int, int] | None:
    """The release of RabbitMQ that a target names, `3.x` being the newest 3; None for others."""
    match = _RELEASE.match(target)
    if match is None:
        return None
    return int(match["major"]), int(match["minor"] or _LATEST)
