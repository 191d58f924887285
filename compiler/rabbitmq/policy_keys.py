"""What RabbitMQ knows of the keys of policies: which queues take them, and what they change.

Every line was measured on RabbitMQ 3.10, and a test against the broker repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from routewright.compiler.rabbitmq.queue_arguments import CLASSIC, QUEUE_TYPES, QUORUM, STREAM

ALTERNATE_EXCHANGE = "alternate-exchange"

_LIMITED = (CLASSIC, QUORUM)

TAKEN_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        ALTERNATE_EXCHANGE: QUEUE_TYPES,  # means nothing to a queue, and is no obstacle
        "message-ttl": _LIMITED,
        "expires": _LIMITED,
        "max-length": _LIMITED,
        "max-length-bytes": QUEUE_TYPES,
        "overflow": _LIMITED,
        "dead-letter-exchange": _LIMITED,
        "dead-letter-routing-key": _LIMITED,
        "dead-letter-strategy": (QUORUM,),
        "delivery-limit": (QUORUM,),
        "max-in-memory-length": _LIMITED,
        "max-in-memory-bytes": _LIMITED,
        "queue-mode": (CLASSIC,),
        "queue-version": QUEUE_TYPES,
        "queue-master-locator": (CLASSIC,),
        "queue-leader-locator": (QUORUM, STREAM),
        "initial-cluster-size": (STREAM,),
        "max-age": (STREAM,),
        "stream-max-segment-size-bytes": (STREAM,),
        "ha-mode": (CLASSIC,),
        "ha-params": (CLASSIC,),
        "ha-sync-mode": (CLASSIC,),
        "ha-sync-batch-size": (CLASSIC,),
        "ha-promote-on-shutdown": (CLASSIC,),
        "ha-promote-on-failure": (CLASSIC,),
    }
)
"""The types of queue that take a key. One that does not take a key of a policy gets none of it."""

OF_OTHERS = frozenset(
    {
        *("federation-upstream", "federation-upstream-set", "federation-upstream-pattern"),
        *("shards-per-node", "routing-key"),  # the sharding plugin's
        *("consumer-timeout", "target-group-size", "stream-filter-size-bytes"),
    }
)
"""Keys of plugins and of newer releases, whose meaning for a queue's arguments is none."""

_LEAST = frozenset(
    {
        *("message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit"),
        *("max-in-memory-length", "max-in-memory-bytes"),
    }
)


def is_limit(key: str) -> bool:
    """Whether the smaller of two values of a key counts."""
    return key in _LEAST


Precedence = Literal["own", "least", "policy"]


def precedence(key: str, queue_type: str) -> Precedence:
    """Returns which value counts if a queue and its policy both have an argument.

    That is the own argument of the queue, the smaller of the two values, or that of the policy.
    """
    if queue_type == STREAM or (queue_type == QUORUM and key in ("expires", "overflow")):
        return "policy"
    return "least" if key in _LEAST else "own"


def effective_arguments(
    own: Mapping[str, Any], definition: Mapping[str, Any], queue_type: str
) -> Mapping[str, Any]:
    """The arguments that count for a queue: its own, and those of the policy applied to it."""
    result = dict(own)
    for key, value in definition.items():
        argument = f"x-{key}"
        if key == ALTERNATE_EXCHANGE or key not in TAKEN_BY:
            continue
        mine = own.get(argument, value)
        match precedence(key, queue_type):
            case "policy":
                result[argument] = value
            case "least" if isinstance(mine, int) and isinstance(value, int):
                result[argument] = min(mine, value)
            case _:
                result[argument] = mine
    return result
