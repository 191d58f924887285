"""Parks a message that no worker can deal with, where somebody can look at it."""

from __future__ import annotations

import logging
import threading
from typing import Any

from routewright.runtime.connect import connections
from routewright.runtime.errors import BrokerUnreachable, EncodeError, Refused, Unroutable
from routewright.runtime.messages.message import Envelope
from routewright.runtime.parking.parked_message import with_notes, with_text_alone
from routewright.runtime.router.route import Route, Router
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.publisher import Publisher, deliver
from routewright.runtime.transport.broker import LOST, Broker
from routewright.runtime.transport.consumer import Delivery
from routewright.runtime.transport.envelopes import check_headers

logger = logging.getLogger("routewright.parking")


class Parking:
    """The queue for parking of one topology.

    Where the topology declares none, it is `NAME.parked`, and is made when it is first needed.
    """

    def __init__(self, router: Router[Any], broker: Broker, publisher: Publisher) -> None:
        self.queue = parking_queue(router)
        self._rejecting = router.rejecting
        self._is_declared = router.parking is not None
        self._broker = broker
        self._publisher = publisher
        self._making = threading.Lock()

    def takes(self, queue: str) -> bool:
        """Returns True if messages of a queue are parked, not dead-lettered by the broker."""
        return queue not in self._rejecting

    def park(self, delivery: Delivery, reason: str, traceback: str | None = None) -> None:
        """Puts a message into the queue for parking; only then may it be acknowledged.

        Raises:
            SendError: it is not there, or not surely.
        """
        envelope = with_notes(delivery, reason, traceback)
        try:
            self._send(envelope)
        except EncodeError:
            self._send(with_text_alone(envelope))

    def _send(self, envelope: Envelope) -> None:
        if self._broker.is_amqp:
            check_headers(dict(envelope.headers))
        try:
            deliver(self._publisher, self._dispatch(envelope))
        except Unroutable:
            if self._is_declared and self._broker.is_amqp:
                logger.warning("the queue for parking, `%s`, is missing and made anew", self.queue)
            self._make()
            deliver(self._publisher, self._dispatch(envelope))

    def _dispatch(self, envelope: Envelope) -> Dispatch:
        return Dispatch(Route("parked", "", self.queue, (self.queue,)), envelope)

    def _make(self) -> None:
        with self._making:
            connection = self._broker.connect()
            try:
                channel: Any = connection.channel()
                channel.queue_declare(self.queue, durable=True, auto_delete=False)
            except LOST as error:
                problem = f"the queue for parking, `{self.queue}`, cannot be declared: {error}"
                kind = BrokerUnreachable if isinstance(error, OSError) else Refused
                raise kind(problem) from error
            finally:
                connections.close(connection)


def parking_queue(router: Router[Any]) -> str:
    """The name of the queue for parking."""
    return router.parking or f"{router.topology}.parked"
