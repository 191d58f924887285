"""The ladder of queues by which the broker holds a message until it is due.

Each queue of the ladder holds a message twice as long as the one below it and passes it on. A delay
is a number of steps of the `resolution`, and its binary digits, the first words of the routing key,
say at which queues the message stops. Behind them stand the exchange that it is meant for, as one
word, and its own key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from routewright.runtime.errors import InvalidOption
from routewright.runtime.router.limits import MAX_SHORT_STRING

_ESCAPED = {ord(char): f"%{ord(char):02X}" for char in "%.*#"}
_MILLISECOND = timedelta(milliseconds=1)


def source_word(exchange: str) -> str:
    """The name of an exchange as one plain word of a key; no two have the same."""
    return exchange.translate(_ESCAPED) or "%"


@dataclass(frozen=True, slots=True)
class DelayLadder:
    """How a message is sent to arrive later.

    `exchange` is where it enters, and `bits` how many queues it may stop at. `resolution` and `max`
    are in milliseconds. `sources` are the exchanges that a delayed message may be meant for; the
    default exchange, with a queue for its key, always is one.
    """

    exchange: str
    bits: int
    resolution: int
    max: int
    sources: tuple[str, ...] = ()

    def address(self, exchange: str, routing_key: str, delay: timedelta) -> tuple[str, str]:
        """Exchange and key that bring a message to another exchange, with its key, after a delay.

        The delay is rounded up to the resolution: a message is never early.

        Raises:
            InvalidOption: the delay is longer than the topology allows, its key would be too long,
                or no delayed message may be meant for that exchange.
        """
        self.check(delay)
        if exchange and exchange not in self.sources:
            raise InvalidOption(
                f"no task of the topology goes to exchange `{exchange}`, and so its `delays` do not"
                " lead there"
            )
        steps = -(-delay // (self.resolution * _MILLISECOND))
        words = [*f"{steps:0{self.bits}b}", source_word(exchange)]
        key = ".".join([*words, routing_key] if routing_key else words)
        size = len(key.encode())
        if size > MAX_SHORT_STRING:
            raise InvalidOption(
                f"the routing key `{routing_key[:80]}` takes {size} bytes with the delay before it,"
                f" and the most is {MAX_SHORT_STRING}"
            )
        return self.exchange, key

    def check(self, delay: timedelta) -> None:
        """Refuse a delay that is longer than the topology allows.

        Raises:
            InvalidOption: it is.
        """
        longest = self.max * _MILLISECOND
        if delay > longest:
            raise InvalidOption(
                f"a task can be delayed by {longest} at most, and not by {delay}; see `delays` in"
                " the topology"
            )
