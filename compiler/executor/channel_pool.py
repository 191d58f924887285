"""A connection with many channels, so that the broker works on many things at a time.

RabbitMQ keeps the order of a channel, and answers after what it did is on disk; one write to the
disk serves all channels that wait for it. With sixteen of them, queues and bindings are made three
times as fast as on one, and more than twice as fast as from definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

T = TypeVar("T")

_CHANNELS = 16  # from where on more of them bring nothing


class SideBySide:
    """The channels of a connection, all of which do nothing but what they are told here.

    Args:
        connection: an open connection of kombu's, to a broker that speaks AMQP.
    """

    def __init__(self, connection: Any) -> None:
        self._channels = [connection.channel() for _ in range(_CHANNELS)]

    def each(self, things: Collection[T], tell: Callable[[T, Any], None]) -> None:
        """Tell the broker of each thing, and return when all of it is done.

        Args:
            things: in no order that matters.
            tell: sends a method for a thing on a channel, and waits for no answer.

        Raises:
            AMQPError: something was refused; what, and what was done by then, is not known.
            OSError: the connection was lost, or no answer came in time.
        """
        for number, thing in enumerate(things):
            tell(thing, self._channels[number % _CHANNELS])
        for channel in self._channels[: len(things)]:
            channel.basic_qos(0, 0, a_global=False)  # changes nothing, and is answered in its turn
