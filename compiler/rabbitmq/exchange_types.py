"""What is known of the types of exchanges: the broker's own ones, and those of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OWN_TYPES = ("direct", "topic", "fanout", "headers")

CHOOSING_TYPES = ("x-consistent-hash", "x-random", "x-modulus-hash")
"""Types that pass a message on to one of the bound destinations, whatever its routing key."""

CONSISTENT_HASH = "x-consistent-hash"
RECENT_HISTORY = "x-recent-history"
DELAYED = "x-delayed-message"
DELAYED_TYPE = "x-delayed-type"
DELAY = "x-delay"

KNOWN_TYPES = (*OWN_TYPES, *CHOOSING_TYPES)
"""The types by whose rules an exchange may route, so that it is known what it does."""


def routes_as(exchange_type: str, arguments: Mapping[str, Any]) -> str:
    """The type by whose rules an exchange routes: its own, or one that it stands for."""
    if exchange_type == RECENT_HISTORY:
        return "fanout"
    if exchange_type == DELAYED:
        behind = arguments.get(DELAYED_TYPE)
        if isinstance(behind, str) and behind != DELAYED:
            return routes_as(behind, arguments)
    return exchange_type
