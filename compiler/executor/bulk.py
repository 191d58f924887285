"""Creates many things at once where no message can come yet, over many channels.

These are new exchanges and queues, and bindings of new exchanges: their order does not matter.

RabbitMQ keeps the order of a channel, and answers after what it did is on disk; one write to the
disk serves all channels that wait for it. With sixteen of them, queues and bindings are made three
times as fast as on one, and more than twice as fast as from definitions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar

from routewright.compiler.plan.changes import Bind, Change, DeclareExchange, DeclareQueue, Own

T = TypeVar("T")
Early: TypeAlias = Own | DeclareExchange | DeclareQueue | Bind

_CHANNELS = 16  # from where on more of them bring nothing
AT_ONCE = 320  # changes; few enough that the broker answers for all of them in time
WORTH_IT = 50  # changes; fewer are made one by one, and seen to be


def created_at_once(planned: Sequence[Change], alternates: Collection[str]) -> Sequence[Early]:
    """The changes at the beginning of a plan that may be made together; none if they are few.

    `alternates` are the alternate exchanges of what is there: messages may come to those.
    """
    new = {it.exchange.name for it in planned if isinstance(it, DeclareExchange)} - {*alternates}
    found: list[Early] = []
    for change in planned:
        match change:
            case Own() | DeclareQueue():
                found.append(change)
            case DeclareExchange(exchange) if exchange.name in new:
                found.append(change)
            case Bind(binding) if binding.source.name in new:
                found.append(change)
            case _:
                break
    return found if len(found) >= WORTH_IT else ()


def rounds(changes: Sequence[Early]) -> Iterator[Sequence[Early]]:
    """The changes in parts of which each needs only those before it: what is owned comes first."""
    for kind in (Own, DeclareExchange, DeclareQueue, Bind):
        alike = [it for it in changes if isinstance(it, kind)]
        for first in range(0, len(alike), AT_ONCE):
            yield alike[first : first + AT_ONCE]


class SideBySide:
    """The channels of a connection, which do nothing but what they are told here.

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
