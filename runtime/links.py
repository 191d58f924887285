"""What a pool of connections holds: links to publish on, of the kind the broker needs.

A link is `busy` from the start of a publish until the broker has settled it. One that is still busy
afterwards is in doubt, and is not used again: so no send ever sees the trouble of an earlier one.
"""

from __future__ import annotations

from typing import Any, Protocol

from routewright.runtime import broker as brokers
from routewright.runtime.broker import Broker, LinkLost
from routewright.runtime.confirming import ConfirmingLink
from routewright.runtime.errors import EncodeError, Unroutable
from routewright.runtime.message import Envelope
from routewright.runtime.outgoing import described, prepare
from routewright.runtime.route import Route


class Link(Protocol):
    """What the pool holds."""

    busy: bool

    def publish(self, route: Route, envelope: Envelope, *, mandatory: bool, timeout: float) -> None:
        """Hand one message to the broker, and return when the broker has taken it."""

    def check_consumers(self, route: Route) -> None:
        """Refuse if no queue of the route has a consumer."""

    def close(self) -> None:
        """Close the connection in order."""

    def discard(self) -> None:
        """Drop the connection, which may be broken."""

    def abandon(self) -> None:
        """Let go of the connection in a forked child."""


class VirtualLink:
    """A connection of one of kombu's virtual transports.

    They route by other rules than AMQP's (a topic `#` wants a word there) and know neither
    `mandatory` nor consumer counts, so the message goes straight to the queues that the compiler
    proved.
    """

    def __init__(self, broker: Broker) -> None:
        self.busy = False
        self._connection = broker.connect()
        self._channel: Any = self._connection.channel()

    def publish(self, route: Route, envelope: Envelope, *, mandatory: bool, timeout: float) -> None:  # noqa: ARG002
        """Put the message into each queue of the route.

        Raises:
            Unroutable: the route reaches no queue, and `mandatory` is set; or its queue is not
                known.
            EncodeError: a header of the user's cannot be sent.
            LinkLost: the connection broke.
        """
        if mandatory and not route.queues:
            raise Unroutable(f"{described(route)}: the route reaches no queue")
        if route.varies:
            raise Unroutable(
                f"{described(route)}: its queue depends on a placeholder that may be any word, or"
                " on an exchange that chooses, and on this transport nobody decides it; list the"
                " words under `parameters`, or use a RabbitMQ"
            )
        self.busy = True
        try:
            for queue in route.queues:
                # A message of its own for each: the transport writes into it.
                message = prepare(self._channel, envelope, envelope.priority)
                self._channel.basic_publish(message, exchange="", routing_key=queue)
        except (TypeError, ValueError) as error:
            raise EncodeError(f"{described(route)}: {error}") from error
        except Exception as error:  # each transport has errors of its own
            raise LinkLost(str(error) or type(error).__name__) from error
        self.busy = False

    def check_consumers(self, route: Route) -> None:
        """Nothing: a virtual transport does not know who consumes."""

    def close(self) -> None:
        """Close the connection in order."""
        brokers.close(self._connection)

    def discard(self) -> None:
        """Drop the connection, which may be broken."""
        brokers.discard(self._connection)

    def abandon(self) -> None:
        """Nothing: there is no socket, or its library looks after forks itself."""


def open_link(broker: Broker) -> Link:
    """A new link of the kind the broker needs.

    Raises:
        BrokerUnreachable: no connection could be made.
        LinkLost: it broke again at once.
    """
    return ConfirmingLink(broker) if broker.is_amqp else VirtualLink(broker)
