"""Progress stored in Redis, by a thread of its own: neither a task nor the network waits for it."""

from __future__ import annotations

import logging
import threading
from time import sleep

from routewright.runtime.messages.message import Envelope, Message
from routewright.runtime.results.progress import INTERVAL, Progress
from routewright.runtime.results.redis_store import RedisStore

PAUSE = 5.0  # seconds without an attempt, after one that failed

logger = logging.getLogger("routewright.results")


class RedisProgress(Progress):
    """The progress of the tasks of one worker process.

    Its thread runs as long as tasks tell of their progress. What cannot be stored is dropped: there
    will be more, and in the end the result.
    """

    def __init__(self, store: RedisStore, *, track_started: bool = False) -> None:
        super().__init__(self._start, track_started=track_started)
        self._store = store
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._nudged = threading.Event()

    def wanted(self, message: Message) -> bool:
        """Whether anybody could hear of a task's progress."""
        return not message.ignore_result

    def due(self) -> list[tuple[str | None, Envelope]]:
        """Nothing for the network's thread."""
        return []

    def _start(self) -> None:
        with self._starting:
            self._nudged.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._nudged.clear()
            sleep(INTERVAL if self._pass_on() else PAUSE)
            with self._starting:
                if not self._latest and not self._nudged.is_set():
                    self._thread = None
                    return

    def _pass_on(self) -> bool:
        """Store what there is to tell; whether Redis took it."""
        try:
            for _, envelope in super().due():
                self._store.write(envelope.correlation_id or "", envelope.body)
        except Exception as error:  # noqa: BLE001  whatever it is, the tasks go on
            logger.warning(
                "progress is not stored in %s: %s", self._store.name, self._store.problem(error)
            )
            self._store.drop_idle()
            return False
        return True
