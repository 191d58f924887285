"""Looking at parked messages, and having them tried again or dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from amqp.exceptions import NotFound

from routewright.runtime import broker as brokers
from routewright.runtime.brief import brief
from routewright.runtime.broker import LOST, Broker
from routewright.runtime.dispatch import Dispatch
from routewright.runtime.errors import (
    BrokerUnreachable,
    InvalidOption,
    MissingQueue,
    SendError,
    Unroutable,
)
from routewright.runtime.incoming import envelope_of
from routewright.runtime.message import Envelope
from routewright.runtime.parking import QUEUE, REASON, TIME, TRACEBACK, requeued
from routewright.runtime.publisher import Publisher, deliver
from routewright.runtime.retrying import HISTORY
from routewright.runtime.route import Route

SHOWN = 2_000  # characters of a body


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked message. `id` is the task's, or `~` and a hash of what has none."""

    id: str
    task: str | None
    queue: str | None
    reason: str | None
    time: str | None
    envelope: Envelope

    @classmethod
    def of(cls, envelope: Envelope) -> Parked:
        """What a message's headers say of its parking."""
        headers = envelope.headers

        def text(name: str) -> str | None:
            value = headers.get(name)
            return value if isinstance(value, str) else None

        named = envelope.correlation_id or text("id")
        return cls(
            named or f"~{_hash(envelope)}",
            text("task"),
            text(QUEUE),
            text(REASON),
            text(TIME),
            envelope,
        )

    def as_dict(self) -> dict[str, Any]:
        """The message in short, for programs."""
        return {
            "id": self.id,
            "task": self.task,
            "queue": self.queue,
            "reason": self.reason,
            "time": self.time,
        }

    def as_whole(self) -> dict[str, Any]:
        """All that is known of the message; a body that is no text is shown as Python shows it."""
        headers = dict(self.envelope.headers)
        notes = (QUEUE, REASON, TIME)
        body = self.envelope.body
        with suppress(UnicodeDecodeError, AttributeError):
            body = bytes(body).decode()  # type: ignore[arg-type]
        return {
            **self.as_dict(),
            "traceback": headers.pop(TRACEBACK, None),
            "history": headers.pop(HISTORY, []),
            "content_type": self.envelope.content_type,
            "headers": {k: _plain(v) for k, v in headers.items() if k not in notes},
            "body": body[:SHOWN] if isinstance(body, str) else brief(body, SHOWN),
        }


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

    def messages(self, limit: int) -> list[Parked]:
        """The first messages, which stay where they are.

        Raises:
            BrokerUnreachable, MissingQueue: there is nothing to look at.
        """
        with self._open() as channel:
            return [parked for parked, _ in self._each(channel, limit)]

    def count(self) -> int:
        """How many messages are parked; none where the queue is not there.

        Raises:
            BrokerUnreachable: there is no broker to ask.
        """
        try:
            with self._open() as channel:
                return self._count(channel)
        except MissingQueue:
            return 0

    def drop(self, ids: Collection[str] | None) -> list[Parked]:
        """Throw messages away for good; None means all of them. Those that were dropped.

        Raises:
            BrokerUnreachable, MissingQueue: there is nothing to look at.
        """
        return self._take(ids, lambda _parked: None)

    def requeue(self, ids: Collection[str] | None, to: str | None = None) -> list[Parked]:
        """Put messages back, each into the queue it came from, to be tried afresh.

        A message is taken from here only when the broker has it there.

        Args:
            ids: which; None means all.
            to: another queue for all of them.

        Raises:
            BrokerUnreachable, MissingQueue: there is nothing to look at.
            SendError: a queue is gone, or does not take the message; those before it are back.
        """
        publisher = Publisher(self._broker)

        def send(parked: Parked) -> None:
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

    def _take(self, ids: Collection[str] | None, use: Callable[[Parked], None]) -> list[Parked]:
        taken = []
        with self._open() as channel:
            for parked, tag in self._each(channel, self._count(channel)):
                if ids is None or parked.id in ids:
                    use(parked)
                    channel.basic_ack(tag)
                    taken.append(parked)
        return taken

    def _each(self, channel: Any, most: int) -> Iterator[tuple[Parked, int]]:
        """Messages in order; what is not acknowledged is back when the channel closes."""
        for _ in range(most):
            raw = channel.basic_get(self.queue)
            if raw is None:
                return
            yield Parked.of(envelope_of(raw)), raw.delivery_tag

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
            brokers.close(connection)


def _hash(envelope: Envelope) -> str:
    text = repr((envelope.body, sorted(map(repr, envelope.headers.items()))))
    return blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else brief(value, 500)
