"""The one thread that hears of results in Redis, for all who wait for one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from routewright.runtime.errors import StoreUnreachable
from routewright.runtime.results.expected import ReaderThread
from routewright.runtime.results.redis_store import CHUNK, PREFIX, RedisStore, key_of

if TYPE_CHECKING:
    from redis.client import PubSub

TICK = 1.0  # seconds between two looks for what nobody wants any more
SILENCE = 15.0  # seconds without a word from Redis, after which it is asked for one; twice: gone
BURST = 1000  # messages read before others get their turn
BLIND = 0.01  # seconds between two looks, where redis-py does not show its socket

logger = logging.getLogger("routewright.results")


class RedisReader(ReaderThread):
    """Subscribes to the channels of the wanted results, and looks each up once it has.

    In that order, so that none slips through; and again after a connection was lost.

    Args:
        store: whose results.
        wanted: the ids of all results that are waited for.
        receive: is given an id and what was stored for it.
    """

    def __init__(
        self,
        store: RedisStore,
        wanted: Callable[[], list[str]],
        receive: Callable[[str, bytes], None],
    ) -> None:
        super().__init__(str(uuid4()))
        self._store = store
        self._wanted = wanted
        self._receive = receive
        self._lock = threading.Lock()
        self._new: list[str] = []  # ids that are to be subscribed to
        self._pubsub: PubSub | None = None
        self._subscribed: set[str] = set()
        self._to_fetch: list[str] = []
        self._swept = self._heard = 0.0

    def look_for(self, task_ids: Iterable[str]) -> None:
        """Hand on the results of these, what there is of them and what comes."""
        with self._lock:
            self._new.extend(task_ids)
        self._waker.wake()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve()
            except Exception as error:
                if not isinstance(error, (*self._store.errors, StoreUnreachable)):
                    logger.exception("reading results failed")
                self._back_off(error)

    def _serve(self) -> None:
        self._pubsub = self._store.pubsub()
        self._heard = monotonic()
        try:
            self._subscribe(self._wanted())
            while not self._stopping.is_set():
                with self._lock:
                    new, self._new = self._new, []
                self._subscribe(new)
                self._read(self._pubsub)
                self._fetch()
                self._sweep(self._pubsub)
        finally:
            self._subscribed.clear()
            self._to_fetch.clear()
            self._pubsub.close()
            self._pubsub = None

    def _subscribe(self, task_ids: list[str]) -> None:
        if self._pubsub is None:
            return
        known = [each for each in task_ids if each in self._subscribed]
        fresh = list(dict.fromkeys(each for each in task_ids if each not in self._subscribed))
        for start in range(0, len(fresh), CHUNK):
            chunk = fresh[start : start + CHUNK]
            self._pubsub.subscribe(*map(key_of, chunk))
            self._subscribed.update(chunk)
        self._to_fetch.extend(known)  # the others, when Redis says that we hear of them

    def _read(self, pubsub: PubSub) -> None:
        """Take what has come; if nothing has, wait for it or for the waker."""
        if not self._has_come(pubsub):
            return
        for _ in range(BURST):
            message: dict[str, Any] | None = pubsub.get_message(timeout=0)
            if message is None:
                break
            self._heard = monotonic()
            self._take(message)

    def _has_come(self, pubsub: PubSub) -> bool:
        timeout = 0.0 if self._to_fetch else TICK
        connection = pubsub.connection
        if connection is None or not pubsub.subscribed:
            self._waker.wait(timeout)
            return False
        if connection.can_read(timeout=0):  # in redis-py's buffer, where no poll sees it
            return True
        sock = getattr(connection, "_sock", None)  # redis-py has no public way to wait on two
        if sock is None:
            self._waker.wait(min(timeout, BLIND))
            return True
        return self._waker.wait_beside(sock, timeout)

    def _take(self, message: dict[str, Any]) -> None:
        channel = message["channel"]
        name = channel.decode() if isinstance(channel, bytes) else channel or ""
        task_id = name.removeprefix(PREFIX)
        self._backoff.reset()  # Redis lets us have what we ask for
        if message["type"] == "subscribe":
            self._to_fetch.append(task_id)
        elif message["type"] == "message":
            self._receive(task_id, message["data"])

    def _fetch(self) -> None:
        task_ids, self._to_fetch = self._to_fetch, []
        for task_id, value in self._store.fetch(task_ids):
            self._receive(task_id, value)

    def _sweep(self, pubsub: PubSub) -> None:
        """From time to time, unsubscribe from what nobody wants, and see that Redis is there."""
        now = monotonic()
        if now - self._swept < TICK:
            return
        self._swept = now
        gone = list(self._subscribed.difference(self._wanted()))
        for start in range(0, len(gone), CHUNK):
            chunk = gone[start : start + CHUNK]
            pubsub.unsubscribe(*map(key_of, chunk))
            self._subscribed.difference_update(chunk)
        if not self._subscribed:
            self._heard = now
        elif now - self._heard > 2 * SILENCE:
            raise ConnectionError(f"not a word in {2 * SILENCE:g} s")
        elif now - self._heard > SILENCE:
            pubsub.ping()

    def _back_off(self, cause: Exception) -> None:
        logger.warning(
            "lost the connection for results to %s, reconnecting: %s",
            *(self._store.name, self._store.problem(cause)),
        )
        while not self._stopping.wait(self._backoff.pause):
            self._backoff.lengthen()
            try:
                self._store.drop_idle()
                self._store.ping()
            except StoreUnreachable as error:
                logger.warning("results: %s; next attempt in %g s", error, self._backoff.pause)
            else:
                logger.info("results: connected again")
                return
