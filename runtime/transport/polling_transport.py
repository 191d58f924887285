"""A connection of one of kombu's virtual transports that a consumer receives on, as Redis has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from routewright.runtime.connect import connections
from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport.envelopes import envelope_of_virtual, put
from routewright.runtime.transport.inbox import Taken

MOST_HELD = 10_000  # messages that a worker may hold where no broker can delay them
POLL = 5.0  # seconds that a poll on Redis may take; it is told to take one


class PollingTransport:
    """A connection with one channel, which cannot wait for a waker; used by one thread.

    Args:
        connection: kombu's, established.
        take: is given each delivery.
        prefetch: unacknowledged messages that each consumer may hold; 0 for no limit.
    """

    def __init__(self, connection: Any, take: Taken, *, prefetch: int) -> None:
        self._connection = connection
        self._take = take
        self._channel: Any = self.open_channel()
        self._prefetch = prefetch
        self._most = 0  # unacknowledged messages of all the consumers

    def open_channel(self) -> Any:
        """Opens a channel."""
        channel: Any = self._connection.channel()
        channel.auto_decode = False
        return channel

    def declare(self, queue: str, arguments: Mapping[str, Any]) -> None:
        """Declares a queue."""
        self._channel.queue_declare(
            queue, durable=True, auto_delete=False, arguments=dict(arguments)
        )

    def existing(self, queues: Sequence[str]) -> list[str]:
        """Returns all the queues: a virtual queue exists when it is used."""
        return list(queues)

    def consume(
        self,
        queue: str,
        consumer: str,
        *,
        no_ack: bool,
        on_cancel: Callable[[str], None] | None,  # noqa: ARG002  nothing cancels a consumer here
    ) -> None:
        """Starts a consumer, by its tag."""
        if self._prefetch:
            self._most += self._prefetch
            self._channel.basic_qos(0, self._most, False)
        self._channel.basic_consume(
            queue=queue,
            no_ack=no_ack,
            consumer_tag=consumer,
            callback=partial(self._deliver, consumer),
        )

    def consume_apart(
        self, queue: str, consumer: str, *, on_cancel: Callable[[str], None]
    ) -> str | None:
        """Starts a consumer on the one channel, which no refusal closes."""
        self.consume(queue, consumer, no_ack=False, on_cancel=on_cancel)
        return None

    def _deliver(self, consumer: str, raw: Any) -> None:
        message = self._channel.message_to_python(raw)
        again = bool(message.delivery_info.get("redelivered"))
        self._take(consumer, message.delivery_tag, again, envelope_of_virtual(message))

    def cancel(self, consumer: str) -> None:
        """Stops a consumer; what it has received may still be settled."""
        self._channel.basic_cancel(consumer)

    def finish_cancelling(self) -> None:
        """Sees the poll through that is under way on Redis.

        kombu puts back what it brings, but drops it if the connection is being closed by then.
        """
        deadline = monotonic() + POLL
        self._channel.basic_qos(0, 0, False)  # or what is held keeps the answer from being read
        while getattr(self._channel, "_in_poll", None) and monotonic() < deadline:
            self.wait(0.1)

    def catch_up(self, used: Iterable[str]) -> None:
        """Nothing: all that is said of messages takes effect at once."""

    def allow(self, held: int) -> None:
        """Receives as many messages more than the prefetch as are held until they are due."""
        self._channel.basic_qos(0, self._most + min(held, MOST_HELD), False)

    def patience(self, *, busy: bool) -> float:
        """Returns the seconds that `wait` may wait, so that the waker is heard in time."""
        return 0.01 if busy else 0.1

    def wait(self, timeout: float) -> None:
        """Delivers a message, if one comes in time."""
        with suppress(TimeoutError):
            self._connection.drain_events(timeout=timeout)

    def ack(self, tag: Any) -> None:
        """Acknowledges a message, at once."""
        self._channel.basic_ack(tag)

    def reject(self, tag: Any, *, requeue: bool) -> None:
        """Gives a message back, or drops it."""
        self._channel.basic_reject(tag, requeue=requeue)

    def publish(self, queue: str, envelope: Envelope) -> None:
        """Puts a message into a queue."""
        put(self._channel, queue, envelope)

    def delete(self, queue: str) -> None:
        """Empties a queue: a virtual queue without messages does not exist."""
        self._channel.queue_purge(queue)

    def close(self) -> None:
        """Closes the connection in order; what was not settled is put back."""
        connections.close(self._connection)

    def abandon(self) -> None:
        """Nothing: there is no socket, or its library looks after forks itself."""
