"""Reads the queue for parking; puts its messages back where they came from, or drops them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import AccessRefused, NotFound

from routewright.runtime.connect import connections
from routewright.runtime.errors import (
    BrokerUnreachable,
    InvalidOption,
    MissingQueue,
    Refused,
    SendError,
    Unroutable,
)
from routewright.runtime.messages.delivery_limit import COUNTS, DELIVERY_LIMIT, times_given_back
from routewright.runtime.parking.parked_message import ParkedMessage, requeued
from routewright.runtime.router.route import Route
from routewright.runtime.sending.confirming_link import LinkSettings
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.publisher import Publisher, deliver
from routewright.runtime.transport.broker import LOST, Broker
from routewright.runtime.transport.envelopes import envelope_of

WORN = DELIVERY_LIMIT // 2  # deliveries, after which a message is published again
CONFIRM_TIMEOUT = 10.0  # seconds


class ParkedQueue:
    """The queue for parking on a broker.

    Raises:
        InvalidOption: the broker is no RabbitMQ.
    """

    def __init__(self, broker: Broker, queue: str) -> None:
        if not broker.is_amqp:
            raise InvalidOption(f"parked messages can be looked at on RabbitMQ, not {broker.name}")
        self._broker = broker
        self.queue = queue

    def messages(self, limit: int) -> list[ParkedMessage]:
        """Returns the first messages, which stay where they are.

        Raises:
            BrokerUnreachable, MissingQueue: there is nothing to look at.
        """
        with self._open() as channel:
            looked_at = [*self._each(channel, limit)]
            self._give_back(channel, [raw for _, raw in looked_at])
            return [parked for parked, _ in looked_at]

    def count(self) -> int:
        """Returns how many messages are parked; none where the queue is not there.

        Raises:
            BrokerUnreachable: there is no broker to ask.
        """
        try:
            with self._open() as channel:
                return self._count(channel)
        except MissingQueue:
            return 0

    def drop(self, ids: Collection[str] | None) -> list[ParkedMessage]:
        """Drops messages for good; None means all of them. Returns those that were dropped.

        Raises:
            BrokerUnreachable, MissingQueue: there is nothing to look at.
        """
        return self._take(ids, lambda _parked: None)

    def requeue(self, ids: Collection[str] | None, to: str | None = None) -> list[ParkedMessage]:
        """Puts messages back, each into the queue it came from, to be tried afresh.

        A message is taken from here only when the broker has it there.

        Args:
            ids: which; None means all.
            to: another queue for all of them.

        Raises:
            BrokerUnreachable, MissingQueue: there is nothing to look at.
            SendError: a queue is gone, or does not take the message; those before it are back.
        """
        publisher = Publisher(LinkSettings(self._broker))

        def send(parked: ParkedMessage) -> None:
            queue = to or parked.queue
            if queue is None:
                raise Unroutable(f"{parked.id} does not say where it came from; name a queue")
            route = Route(parked.task or "parked", "", queue, (queue,))
            try:
                deliver(publisher, Dispatch(route, requeued(parked.envelope)))
            except SendError as error:
                raise type(error)(f"{parked.id} stays parked: {error}") from error

        try:
            return self._take(ids, send)
        finally:
            publisher.close()

    def _take(
        self, ids: Collection[str] | None, use: Callable[[ParkedMessage], None]
    ) -> list[ParkedMessage]:
        taken: list[ParkedMessage] = []
        kept: list[Any] = []
        with self._open() as channel:
            try:
                for parked, raw in self._each(channel, self._count(channel)):
                    if ids is None or parked.id in ids:
                        kept.append(raw)  # until it is acknowledged: `use` may raise
                        use(parked)
                        channel.basic_ack(raw.delivery_tag)
                        kept.pop()
                        taken.append(parked)
                    else:
                        kept.append(raw)
            finally:
                self._give_back(channel, kept)
        return taken

    def _each(self, channel: Any, most: int) -> Iterator[tuple[ParkedMessage, Any]]:
        """Takes messages in order, each with py-amqp's message of it."""
        for _ in range(most):
            raw = channel.basic_get(self.queue)
            if raw is None:
                return
            yield ParkedMessage.of(envelope_of(raw)), raw

    def _give_back(self, channel: Any, messages: Sequence[Any]) -> None:
        """Gives messages back that were looked at.

        A quorum queue of RabbitMQ 4.0 and newer drops what was given back too often. Such a message
        is published again, and the queue then has a new one in its place, at the end.

        Raises:
            Refused: the user may not publish to the queue, so that looking again may lose messages.
        """
        worn = [raw for raw in messages if _times_given_back(raw) >= WORN]
        if worn:
            publishing = channel.connection.channel()
            try:
                for raw in worn:
                    publishing.basic_publish_confirm(
                        _renewed(raw),
                        exchange="",
                        routing_key=self.queue,
                        confirm_timeout=CONFIRM_TIMEOUT,
                    )
                    channel.basic_ack(raw.delivery_tag)
            except AccessRefused as error:
                raise Refused(
                    f"queue `{self.queue}` holds messages that were looked at {WORN} times, and"
                    f" drops them after {DELIVERY_LIMIT}; they cannot be published again:"
                    f" {error.reply_text}. Grant `write` on `amq.default` before you look again"
                ) from error
        left = [raw for raw in messages if raw not in worn]
        if left:
            # RabbitMQ 4.3 does not count a nack against the delivery limit, but a closed channel.
            channel.send_method(spec.Basic.Nack, "Lbb", (left[-1].delivery_tag, True, True))
            self._count(channel)  # it answers, after all that came before

    def _count(self, channel: Any) -> int:
        return int(channel.queue_declare(self.queue, passive=True).message_count)

    @contextmanager
    def _open(self) -> Iterator[Any]:
        connection = self._broker.connect()
        try:
            channel: Any = connection.channel()
            channel.auto_decode = False
            self._count(channel)
            yield channel
        except NotFound:
            raise MissingQueue(f"{self._broker.name} has no queue `{self.queue}`") from None
        except LOST as error:
            if isinstance(error, SendError):
                raise
            raise BrokerUnreachable(f"{self._broker.name}: {error}") from error
        finally:
            connections.close(connection)


def _times_given_back(raw: Any) -> int:
    headers = raw.properties.get("application_headers")
    return times_given_back(headers, redelivered=raw.delivery_info["redelivered"])


def _renewed(raw: Any) -> amqp.Message:
    """Returns the same message to be published again; the broker counts its deliveries from 0."""
    headers = dict(raw.properties["application_headers"])
    for name in COUNTS:
        headers.pop(name, None)
    return amqp.Message(raw.body, **{**raw.properties, "application_headers": headers})
