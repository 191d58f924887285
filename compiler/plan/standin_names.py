"""Names of what stands in for another thing while that changes or is tried out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

PREFIX = "routewright.standin."
_NAME = re.compile(re.escape(PREFIX) + r"(\d+)\.(old|new|switch)\.(.*)", re.DOTALL)
_LONGEST = 150  # bytes of a name that are shown as they are


def is_stand_in(name: str) -> bool:
    """Returns True if an exchange, queue or policy of this name stands in for another one."""
    return name.startswith(PREFIX)


@dataclass(frozen=True, slots=True)
class Name:
    """The name of an exchange that stands in, read back; `shown` is of what it stands in for."""

    number: int
    role: str  # old, new, switch
    shown: str


def read_name(name: str) -> Name | None:
    """What the name of an exchange says, if it is one that stands in while bindings change."""
    found = _NAME.match(name)
    return Name(int(found[1]), found[2], found[3]) if found else None


def copy_name(number: int, role: str, exchange: str) -> str:
    """The name of what stands in for an exchange."""
    return f"{PREFIX}{number}.{role}.{shown(exchange)}"


def shown(exchange: str) -> str:
    """The name of an exchange as it stands within another one, which may not get too long."""
    if len(exchange.encode()) > _LONGEST:
        return sha256(exchange.encode()).hexdigest()[:20]
    return exchange
