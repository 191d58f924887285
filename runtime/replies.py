"""The reply queue of one process: results over the broker, each handed to whoever waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4
from weakref import WeakSet, WeakValueDictionary

from amqp.exceptions import ChannelError

from routewright.runtime.broker import Broker, LinkLost
from routewright.runtime.consumer import Consumer, Delivery, consumer_of
from routewright.runtime.errors import (
    BrokerUnreachable,
    MalformedMessage,
    Refused,
    RoutewrightError,
)
from routewright.runtime.outcome import Outcome
from routewright.runtime.results import AsyncResult
from routewright.runtime.waker import Waker

PREFIX = "routewright.reply."  # of the queue's name, so that a permission can be given for it
EXPIRES = 600_000  # milliseconds without a reader until the broker deletes the queue
BACKOFF = (0.1, 5.0)  # seconds; the first pause between two attempts at reconnecting, and the last

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
        self._lock = threading.RLock()  # the garbage collector may close us from within
        self._reader: _Reader | None = None
        # By task id, which may be sent twice. Each result holds its set, and no set a result.
        self._waiting: WeakValueDictionary[str, WeakSet[AsyncResult[Any]]] = WeakValueDictionary()

    def name(self, connect_timeout: float | None = None) -> str:
        """The queue's name, for `reply_to`; the first call declares it and starts the thread.

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
        with self._lock:
            if self._reader is None or not self._reader.is_alive():
                # Connecting here, not in the thread, makes a failure the caller's to see.
                self._reader = self._broker.persist(
                    connect_timeout, lambda left: _Reader(self._broker, self._receive, left)
                )
                self._reader.start()
            return self._reader

    def expect(self, result: AsyncResult[Any]) -> None:
        """Hand the result on when it arrives, for as long as somebody holds it."""
        with self._lock:
            result.twins = self._waiting.setdefault(result.id, WeakSet())
            result.twins.add(result)

    def _receive(self, delivery: Delivery) -> None:
        try:
            outcome = Outcome.decode(delivery.envelope)
        except MalformedMessage as error:
            logger.error("dropped %s", error)  # noqa: TRY400  the sender's fault needs no traceback
            return
        for result in self._expecting(outcome.task_id):
            result.settle(outcome)

    def _expecting(self, task_id: str) -> list[AsyncResult[Any]]:
        with self._lock:
            return list(self._waiting.get(task_id, ()))

    def close(self) -> None:
        """Delete the queue; who still waits gets `NoResult`. A later send starts anew."""
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
        for task_id in list(self._waiting):
            for result in self._expecting(task_id):
                result.lose("the app was closed first")

    def after_fork(self) -> None:
        """In a forked child: let go of the parent's queue; the child's first send makes its own."""
        if self._reader is not None:
            self._reader.abandon()
        self._start()


class _Reader(threading.Thread):
    """Reads the queue until it is stopped."""

    def __init__(
        self, broker: Broker, receive: Callable[[Delivery], None], connect_timeout: float
    ) -> None:
        unique = str(uuid4())
        self.queue = f"{PREFIX}{unique}"
        super().__init__(name=f"routewright-results-{unique[:8]}", daemon=True)
        self._broker = broker
        self._receive = receive
        self._waker = Waker()
        self._stopping = threading.Event()
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
        return consumer_of(self._broker)(
            self._broker,
            [self.queue],
            self._receive,
            waker=self._waker,
            no_ack=True,
            declare={"x-expires": EXPIRES},
            connect_timeout=connect_timeout,
        )

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
        pause, longest = BACKOFF
        while not self._stopping.wait(pause):
            try:
                self._consumer = self._connect()
            except (RoutewrightError, LinkLost) as error:
                logger.warning("results: %s; next attempt in %g s", error, pause)
                pause = min(pause * 2, longest)
            else:
                logger.info("results: connected again")
                return

    def stop(self) -> None:
        self._stopping.set()
        self._waker.wake()
        # The garbage collector closes a forgotten app in whatever thread it runs, also in this.
        if threading.current_thread() is not self:
            self.join(timeout=10)
        self._waker.close()

    def abandon(self) -> None:
        self._consumer.abandon()
        self._waker.close()
