"""The names of the exchanges and queues that delay the messages of a topology.

A message's key is read by the ladder that it was sent into, digit by digit. So the names say what
a ladder is made of: a topology whose `delays` change gets another one, and the messages that are in
the first go their way there to the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from routewright.compiler.model.topology import Delays, Topology
from routewright.compiler.rabbitmq.targets import SINCE, release

_NEEDED = ("x-message-ttl on a quorum queue", "x-dead-letter-strategy: at-least-once")
_LOWEST = re.compile(r"(?P<topology>.*)\.delay\.(?P<shape>\d+x\d+ms(-classic)?)\.0", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LadderNames:
    """The names of one ladder; `shape` is its number of digits and its resolution."""

    topology: str
    shape: str

    def level(self, number: int) -> str:
        """Of the exchange that reads one digit, and of the queue that holds by it."""
        return f"{prefix(self.topology)}.{self.shape}.{number}"

    @property
    def last_stop(self) -> str:
        """Of the exchange where a delay has ended; those of its mirrors begin with it."""
        return f"{prefix(self.topology)}ed.{self.shape}"

    @property
    def lost(self) -> str:
        """Of the exchange and the queue for what finds no way on from the last stop."""
        return f"{prefix(self.topology)}.lost"


def ladder_names(topology: str, delays: Delays, target: str) -> LadderNames:
    """The names of the ladder for the delays of a topology."""
    kind = "" if holds_safely(target) else "-classic"
    return LadderNames(topology, f"{delays.bits}x{delays.resolution}ms{kind}")


def holds_safely(target: str) -> bool:
    """Whether quorum queues of the target can hold messages for a time and pass them on safely."""
    known = release(target)
    return known is not None and known >= max(SINCE[it] for it in _NEEDED)


def prefix(topology: str) -> str:
    """What the names of all objects begin with that delay the messages of a topology."""
    return f"{topology}.delay"


def prefixes(found: Topology) -> Iterator[str]:
    """What the names begin with of the objects that delays have become on a broker."""
    for name in found.queues:
        lowest = _LOWEST.fullmatch(name)
        if lowest and LadderNames(lowest["topology"], lowest["shape"]).last_stop in found.exchanges:
            yield prefix(lowest["topology"])


def belongs(name: str, begins: str) -> bool:
    """Whether a name is one of those that delays take."""
    return name.startswith((f"{begins}.", f"{begins}ed."))


def is_last_stop(name: str, begins: str) -> bool:
    """Whether a name is that of an exchange where delays end; its mirrors have longer ones."""
    shape = name.removeprefix(f"{begins}ed.")
    return shape != name and "." not in shape


def is_on_the_ladder(name: str, begins: str) -> bool:
    """Whether a name is that of something which a message passes while it is delayed."""
    return name.startswith(f"{begins}.")
