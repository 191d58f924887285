"""What messages are sent on: a connection, of the kind that the broker needs.

A link is `in_doubt` from the start of a step until it has ended well. One that stays so is not used
again: no send ever sees the trouble of an earlier one.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from routewright.runtime.connect import connections
from routewright.runtime.errors import EncodeError, Unroutable
from routewright.runtime.messages.events import SENT_KEY
from routewright.runtime.sending.confirming_link import ConfirmingLink, LinkSettings
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.transport.broker import LinkLost
from routewright.runtime.transport.envelopes import put
from routewright.runtime.transport.event_channel import declare, publish

logger = logging.getLogger("routewright.events")


class Link(Protocol):
    """What messages are posted on, and settled; see `ConfirmingLink`."""

    in_doubt: bool

    @property
    def stale(self) -> bool:
        """Whether it lay idle for so long that it may be dead."""
        ...

    @property
    def settled(self) -> int:
        """How many messages were settled on it."""
        ...

    def make_room(self, dispatch: Dispatch, window: int) -> None:
        """Wait until fewer than `window` messages are unsettled."""

    def post(self, dispatch: Dispatch) -> None:
        """Hand a message to the broker."""

    def settle(self, room: int) -> None:
        """Wait until at most `room` messages are unsettled."""

    def unsettled(self) -> list[Dispatch]:
        """What a broken link leaves behind."""
        ...

    def check_consumers(self, dispatch: Dispatch) -> None:
        """Fail a message if no queue of its route has a consumer."""

    def pulse(self) -> None:
        """Show an idle connection to be alive, to those on its way too; else it is in doubt."""

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
    proved. They confirm nothing: what raises no error is taken for sent.
    """

    def __init__(self, settings: LinkSettings, connect_timeout: float | None) -> None:
        broker = settings.broker
        self.in_doubt = False
        self.stale = False  # kombu looks after that
        self.settled = 0
        self._unsettled: list[Dispatch] = []
        self._connection = broker.persist(connect_timeout, broker.connect)
        self._channel: Any = self._connection.channel()
        if settings.events:
            declare(self._channel, self._connection.transport.driver_type)

    def make_room(self, dispatch: Dispatch, window: int) -> None:
        """Nothing: a message is settled as it is posted."""

    def post(self, dispatch: Dispatch) -> None:
        """Put the message into each queue of its route, and settle it.

        Raises:
            LinkLost: the connection broke.
        """
        route, envelope = dispatch.route, dispatch.envelope
        if dispatch.mandatory and not route.queues:
            dispatch.fail(Unroutable, "the route reaches no queue")
            return
        if route.varies:
            problem = (
                "its queue depends on a placeholder that may be any word, or on an exchange of an"
                " unknown type, and on this transport nobody decides it; list the words under"
                " `parameters`, or name the `queue`"
            )
            dispatch.fail(Unroutable, problem)
            return
        self.in_doubt = True
        self._unsettled.append(dispatch)
        dispatch.posted += 1
        try:
            for queue in route.queues:
                # A message of its own for each: the transport writes into it.
                put(self._channel, queue, envelope, envelope.priority)
        except (TypeError, ValueError) as error:
            dispatch.fail(EncodeError, str(error), error)
            self._unsettled.clear()
            return
        except Exception as error:  # each transport has errors of its own
            raise LinkLost(str(error) or type(error).__name__) from error
        self._unsettled.clear()
        self.in_doubt = False
        self.settled += 1
        dispatch.confirmed = True
        self._announce(dispatch)

    def _announce(self, dispatch: Dispatch) -> None:
        """Say that a message is sent; if that fails, the next one goes by another link."""
        if dispatch.event is None:
            return
        try:
            publish(self._channel, SENT_KEY, dispatch.event)
        except Exception:  # each transport has errors of its own
            logger.warning("an event could not be published", exc_info=True)
            self.in_doubt = True

    def settle(self, room: int) -> None:
        """Nothing: a message is settled as it is posted."""

    def unsettled(self) -> list[Dispatch]:
        """What was being posted as the link broke, if it did."""
        unsettled, self._unsettled = self._unsettled, []
        return unsettled

    def check_consumers(self, dispatch: Dispatch) -> None:
        """Nothing: a virtual transport does not know who consumes."""

    def pulse(self) -> None:
        """Nothing: kombu looks after that."""

    def close(self) -> None:
        """Close the connection in order."""
        connections.close(self._connection)

    def discard(self) -> None:
        """Drop the connection, which may be broken."""
        connections.discard(self._connection)

    def abandon(self) -> None:
        """Nothing: there is no socket, or its library looks after forks itself."""


def open_link(settings: LinkSettings, connect_timeout: float | None) -> Link:
    """Opens a link of the kind that the broker needs.

    Raises:
        BrokerUnreachable: no connection could be made.
        LinkLost: it broke again at once.
    """
    if settings.broker.is_amqp:
        return ConfirmingLink(settings, connect_timeout)
    return VirtualLink(settings, connect_timeout)
