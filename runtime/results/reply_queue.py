"""The reply queue of one process: results over the broker, each handed to whoever waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

from amqp.exceptions import ChannelError

from routewright.runtime.errors import (
    BrokerUnreachable,
    MalformedMessage,
    NoResult,
    Refused,
    RoutewrightError,
)
from routewright.runtime.messages.message import Envelope
from routewright.runtime.messages.outcome import Outcome
from routewright.runtime.results.async_result import AsyncResult
from routewright.runtime.results.expected import Expected, ReaderThread
from routewright.runtime.results.progress import Progress
from routewright.runtime.transport.broker import Broker, LinkLost
from routewright.runtime.transport.consumer import Consumer, Delivery

PREFIX = "routewright.reply."  # of the queue's name, so that a permission can be given for it
EXPIRES = 600_000  # milliseconds without a reader until the broker deletes the queue

logger = logging.getLogger("routewright.results")


class ReplyQueue:
    """A queue with a name of its own, and the one thread that reads it.

    It survives a lost connection: the queue is durable, and the thread comes back to it. A result
    that nobody holds any more is dropped.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._start()

    def _start(self) -> None:
        self.lock = threading.RLock()  # the garbage collector may close us from within
        self._reader: _Reader | None = None
        self._expected = Expected()

    def reply_to(self, connect_timeout: float | None = None) -> str:
        """The queue's name; the first call declares it and starts the thread.

        Args:
            connect_timeout: seconds to wait for a connection, if there is none yet.

        Raises:
            BrokerUnreachable: there is no connection to declare the queue on.
            Refused: the broker does not let us have it.
        """
        reader = self._reader
        if reader is None or not reader.is_alive():
            reader = self._open(connect_timeout)
        return reader.queue

    def _open(self, connect_timeout: float | None) -> _Reader:
        with self.lock:
            if self._reader is None or not self._reader.is_alive():
                # Connecting here, not in the thread, makes a failure the caller's to see.
                self._reader = self._broker.persist(
                    connect_timeout, lambda left: _Reader(self._broker, self._receive, left)
                )
                self._reader.start()
            return self._reader

    def expect(self, result: AsyncResult[Any]) -> None:
        """Hand the result on when it arrives, for as long as somebody holds it."""
        with self.lock:
            self._expected.add(result)

    def listen_for(self, results: Iterable[AsyncResult[Any]]) -> None:
        """Nothing: what is expected is handed on as it arrives."""

    def refresh(self, results: Iterable[AsyncResult[Any]]) -> None:
        """Nothing: what has arrived has been handed on."""

    def forget(self, result: AsyncResult[Any]) -> None:
        """Nothing: what arrives for a result that is lost is dropped."""

    def look_up(self, task_id: str) -> AsyncResult[Any]:
        """The result of a task that this app sent, as long as somebody holds that.

        Raises:
            NoResult: it goes to another process, or was sent by nobody who still holds it.
        """
        with self.lock:
            found = self._expected.of(task_id)
        if found:
            return found[0]
        raise NoResult(
            f"task {task_id} was not sent by this app, or its result was dropped; results by rpc go"
            " to their sender alone: have them kept, by App(..., results='redis://...')"
        )

    def keep(self, reply: Envelope) -> bool:  # noqa: ARG002
        """False: a result is not kept, but sent to the queue that its message names."""
        return False

    def progress(self, wake: Callable[[], None], *, track_started: bool = False) -> Progress:
        """What a worker's tasks tell of their progress, for its network thread to send."""
        return Progress(wake, track_started=track_started)

    def _receive(self, delivery: Delivery) -> None:
        try:
            outcome = Outcome.decode(delivery.envelope)
        except MalformedMessage as error:
            logger.error("dropped %s", error)  # noqa: TRY400  the sender's fault needs no traceback
            return
        with self.lock:
            expecting = self._expected.of(outcome.task_id)
        for result in expecting:
            result.settle(outcome)

    def close(self) -> None:
        """Delete the queue; who still waits gets `NoResult`. A later send starts anew."""
        with self.lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
        self._expected.lose("the app was closed first")

    def after_fork(self) -> None:
        """In a forked child: let go of the parent's queue; the child's first send makes its own."""
        if self._reader is not None:
            self._reader.abandon()
        expected = self._expected
        self._start()
        expected.lose("it was sent before a fork, and goes to the parent process")


class _Reader(ReaderThread):
    """Reads the queue until it is stopped."""

    def __init__(
        self, broker: Broker, receive: Callable[[Delivery], None], connect_timeout: float
    ) -> None:
        unique = str(uuid4())
        self.queue = f"{PREFIX}{unique}"
        super().__init__(unique)
        self._broker = broker
        self._receive = receive
        try:
            self._consumer = self._connect(connect_timeout)
        except LinkLost as error:
            self._waker.close()
            if isinstance(error.__cause__, ChannelError):
                raise Refused(
                    f"{broker.name}: no queue for the results: {error}; grant configure and read on"
                    f" `{PREFIX}*`, or send with ignore_result=True"
                ) from error
            raise BrokerUnreachable(f"{broker.name}: the connection broke: {error}") from error
        except BaseException:
            self._waker.close()
            raise

    def _connect(self, connect_timeout: float | None = None) -> Consumer:
        return Consumer(
            self._broker,
            self._receive,
            self._subscribe,
            waker=self._waker,
            no_ack=True,
            connect_timeout=connect_timeout,
        )

    def _subscribe(self, consumer: Consumer) -> None:
        consumer.declare(self.queue, {"x-expires": EXPIRES})
        consumer.consume(self.queue)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._consumer.wait(self._consumer.patience(busy=True))
            except LinkLost as error:
                if not self._stopping.is_set():
                    self._reconnect(error)
        try:
            self._consumer.cancel()
            self._consumer.delete(self.queue)
        except Exception as error:  # noqa: BLE001  the broker will, by and by: the queue expires
            logger.debug("the reply queue %s was not deleted: %s", self.queue, error)
        self._consumer.close()

    def _reconnect(self, cause: Exception) -> None:
        logger.warning("lost the connection for results, reconnecting: %s", cause)
        self._consumer.discard()
        self._backoff.reset()
        while not self._stopping.wait(self._backoff.pause):
            try:
                self._consumer = self._connect()
            except (RoutewrightError, LinkLost) as error:
                logger.warning("results: %s; next attempt in %g s", error, self._backoff.pause)
                self._backoff.lengthen()
            else:
                logger.info("results: connected again")
                return

    def abandon(self) -> None:
        self._consumer.abandon()
        super().abandon()
