"""The `x-` arguments of queues: their types, their ranges, and the queues that take them.

Every line was measured on RabbitMQ 3.10 by declaring queues of each type, and a test against the
broker repeats it. Where the broker takes anything (`x-delivery-limit: abc`) or dies of it
(`x-queue-master-locator: abc` closes the connection with 541), the rule is what its documentation
says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

ValueType = Literal["integer", "text", "boolean"]

CLASSIC, QUORUM, STREAM = "classic", "quorum", "stream"
QUEUE_TYPES = (CLASSIC, QUORUM, STREAM)

TEN_YEARS = 315_360_000_000  # milliseconds; what the broker allows for a timer
MAX_EXPIRATION = 2**32 - 1  # milliseconds of a message; RabbitMQ closes the channel on more
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ArgumentRule:
    """The values that an argument may have, and the types of queue that take it."""

    kind: ValueType
    queue_types: tuple[str, ...] = QUEUE_TYPES
    least: int = 0
    most: int = _LARGEST
    choices: tuple[str, ...] = ()


QUEUE_ARGUMENTS: Mapping[str, ArgumentRule] = MappingProxyType(
    {
        "x-queue-type": ArgumentRule("text", choices=QUEUE_TYPES),
        "x-message-ttl": ArgumentRule("integer", (CLASSIC, QUORUM), 0, TEN_YEARS),
        "x-expires": ArgumentRule("integer", (CLASSIC, QUORUM), 1, TEN_YEARS),
        "x-max-length": ArgumentRule("integer", (CLASSIC, QUORUM)),
        "x-max-length-bytes": ArgumentRule("integer"),
        "x-overflow": ArgumentRule(
            "text",
            (CLASSIC, QUORUM),
            choices=("drop-head", "reject-publish", "reject-publish-dlx"),
        ),
        "x-dead-letter-exchange": ArgumentRule("text", (CLASSIC, QUORUM)),
        "x-dead-letter-routing-key": ArgumentRule("text", (CLASSIC, QUORUM)),
        "x-dead-letter-strategy": ArgumentRule(
            "text", (QUORUM,), choices=("at-most-once", "at-least-once")
        ),
        "x-max-priority": ArgumentRule("integer", (CLASSIC,), 0, 255),
        "x-queue-mode": ArgumentRule("text", (CLASSIC,), choices=("default", "lazy")),
        "x-queue-version": ArgumentRule("integer", (CLASSIC,), 1, 2),
        "x-queue-master-locator": ArgumentRule(
            "text", (CLASSIC,), choices=("client-local", "min-masters", "random")
        ),
        "x-queue-leader-locator": ArgumentRule(
            "text",
            (QUORUM, STREAM),
            choices=("client-local", "balanced", "random", "least-leaders"),
        ),
        "x-single-active-consumer": ArgumentRule("boolean", (CLASSIC, QUORUM)),
        "x-delivery-limit": ArgumentRule("integer", (QUORUM,)),
        "x-max-in-memory-length": ArgumentRule("integer", (QUORUM,)),
        "x-max-in-memory-bytes": ArgumentRule("integer", (QUORUM,)),
        "x-quorum-initial-group-size": ArgumentRule("integer", (QUORUM,), 1),
        "x-initial-cluster-size": ArgumentRule("integer", (STREAM,), 1),
        "x-max-age": ArgumentRule("text", (STREAM,)),
        "x-stream-max-segment-size-bytes": ArgumentRule("integer", (STREAM,), 1, 3_000_000_000),
    }
)

OTHER_ARGUMENTS = frozenset(
    {
        "x-cancel-on-ha-failover",
        "x-consumer-timeout",
        "x-quorum-target-group-size",
        "x-stream-filter-size-bytes",
    }
)
"""Arguments that some release of RabbitMQ knows and 3.10 takes without a look."""
