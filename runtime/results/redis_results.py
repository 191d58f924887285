"""Results kept in Redis: stored by workers, and had by whoever knows a task's id."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import Any

from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.errors import MalformedMessage
from routewright.runtime.messages.message import Envelope
from routewright.runtime.messages.outcome import Outcome
from routewright.runtime.results.async_result import AsyncResult
from routewright.runtime.results.expected import Expected
from routewright.runtime.results.progress import Progress
from routewright.runtime.results.redis_progress import RedisProgress
from routewright.runtime.results.redis_reader import RedisReader
from routewright.runtime.results.redis_store import RedisStore, read

BUDGET = 30.0  # seconds that storing is tried again, since the first sign of trouble
PAUSES = (0.1, 2.0)  # seconds between two attempts: at first, and at most

logger = logging.getLogger("routewright.results")


class RedisResults:
    """The results of one app. A send costs nothing here; the first wait starts the one reader.

    Args:
        url: where they are kept.

    Raises:
        InvalidOption: the URL cannot be read, or redis-py is not installed.
    """

    def __init__(self, url: str) -> None:
        self._store = RedisStore(url)
        self.name = self._store.name
        self._start()

    def _start(self) -> None:
        self.lock = threading.RLock()  # the garbage collector may close us from within
        self._reader: RedisReader | None = None
        self._expected = Expected()
        self._away_since: float | None = None

    def reply_to(self, connect_timeout: float | None = None) -> None:
        """None: nothing is sent to a queue."""

    def expect(self, result: AsyncResult[Any]) -> None:
        """Nothing: it is looked for when somebody asks."""

    def listen_for(self, results: Iterable[AsyncResult[Any]]) -> None:
        """Be told of the outcomes of these, as soon as they are stored.

        Raises:
            StoreUnreachable: Redis was never there, or does not let us in.
        """
        wanted = [each for each in results if not each.is_over()]
        if not wanted:
            return
        with self.lock:  # first: closing meanwhile must find them
            for result in wanted:
                self._expected.add(result)
        self._open().look_for([result.id for result in wanted])

    def _open(self) -> RedisReader:
        reader = self._reader
        if reader is not None and reader.is_alive():
            return reader
        # Looking here, not in the thread, makes a failure the caller's to see.
        self._store.ping()
        with self.lock:
            if self._reader is None or not self._reader.is_alive():
                self._reader = RedisReader(self._store, self._wanted, self._receive)
                self._reader.start()
            return self._reader

    def _wanted(self) -> list[str]:
        with self.lock:
            return [
                task_id
                for task_id in self._expected.ids()
                if not all(result.is_over() for result in self._expected.of(task_id))
            ]

    def _receive(self, task_id: str, value: bytes) -> None:
        outcome = _readable(value, task_id)
        if outcome is None:
            return
        with self.lock:
            expecting = self._expected.of(task_id)
        for result in expecting:
            result.settle(outcome)
        with self.lock:  # one may have come that has not heard of it
            if all(result.is_over() for result in self._expected.of(task_id)):
                self._expected.discard(task_id)

    def refresh(self, results: Iterable[AsyncResult[Any]]) -> None:
        """Look up the outcomes of these.

        Raises:
            StoreUnreachable: Redis does not answer.
        """
        asked: dict[str, list[AsyncResult[Any]]] = {}
        for result in results:
            asked.setdefault(result.id, []).append(result)
        for task_id, value in self._store.fetch(list(asked)):
            outcome = _readable(value, task_id)
            if outcome is not None:
                for result in asked[task_id]:
                    result.settle(outcome)

    def forget(self, result: AsyncResult[Any]) -> None:
        """Delete the stored outcome.

        Raises:
            StoreUnreachable: Redis does not answer.
        """
        self._store.delete(result.id)

    def look_up(self, task_id: str) -> AsyncResult[Any]:
        """The result of a task that anybody sent; PENDING if there is no such task."""
        return AsyncResult(task_id, "", self)

    def progress(self, wake: Callable[[], None], *, track_started: bool = False) -> Progress:  # noqa: ARG002
        """What a worker's tasks tell of their progress; a thread of its own stores it."""
        return RedisProgress(self._store, track_started=track_started)

    def keep(self, reply: Envelope) -> bool:
        """Store a result; True: nothing is left to send. It is called by the task's thread.

        While Redis is away this is tried again for a while; then the result is lost, which is
        logged. As long as Redis stays away, those that follow have one attempt each.
        """
        task_id = reply.correlation_id or ""
        backoff = Backoff(*PAUSES)
        while True:
            try:
                self._store.write(task_id, reply.body)
            except Exception as error:  # noqa: BLE001  nothing here may harm a task
                if not self._is_patient_with(error, task_id):
                    return True
                self._store.drop_idle()
                sleep(backoff.pause)
                backoff.lengthen()
            else:
                if self._away_since is not None:
                    self._away_since = None
                    logger.info("%s is there again", self.name)
                return True

    def _is_patient_with(self, error: Exception, task_id: str) -> bool:
        """Whether to try again, after a word to the log."""
        problem = self._store.problem(error)
        if isinstance(error, self._store.errors) and self._store.passes(error):
            now = monotonic()
            if self._away_since is None:
                self._away_since = now
                logger.warning(
                    "cannot store the result of %s in %s: %s; tried again for %g s",
                    *(task_id, self.name, problem, BUDGET),
                )
            if now < self._away_since + BUDGET:
                return True
        logger.error("the result of %s is lost: %s: %s", task_id, self.name, problem)
        return False

    def close(self) -> None:
        """Stop the reader; who waits gets `NoResult`. A later wait starts anew."""
        with self.lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.stop()
        with self.lock:
            expected, self._expected = self._expected, Expected()
        expected.lose("the app was closed first")
        self._store.close()

    def after_fork(self) -> None:
        """In a forked child: start afresh; redis-py itself leaves the parent's sockets alone."""
        if self._reader is not None:
            self._reader.abandon()
        self._start()


def _readable(value: bytes, task_id: str) -> Outcome | None:
    try:
        return read(value, task_id)
    except MalformedMessage as error:
        logger.error("the result of %s cannot be read: %s", task_id, error)  # noqa: TRY400  its writer's fault needs no traceback
        return None
