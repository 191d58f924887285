"""Publishes the events of a worker: its heartbeats, and what becomes of its tasks.

The worker's threads only put events into a queue. A thread with a connection of its own publishes
them, so that no trouble of theirs delays a task.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
from queue import Empty, SimpleQueue
from time import monotonic

from routewright import __version__
from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.messages.events import (
    MAX_TRACEBACK,
    TASKS_KEY,
    Event,
    event,
    packed,
    received,
    routing_key,
    shown,
)
from routewright.runtime.transport.broker import Broker
from routewright.runtime.transport.event_channel import EventConnection

FREQUENCY = 2.0  # seconds between two heartbeats; who misses two counts as gone
PAUSE = 0.2  # seconds; the events of as long share a message
BATCH = 100  # events in one message
MOST_WAITING = 10_000  # events; with more, the new ones are dropped
BACKOFF = (0.5, 30.0)  # seconds; the first pause between two attempts at connecting, and the last
GOODBYE = 2.0  # seconds that a worker's end may wait for its last events

logger = logging.getLogger("routewright.events")


class Announcer:
    """Publishes the events of one worker, as well as it can.

    Args:
        broker: whom to publish to.
        node: the worker's name, `NAME@HOST`.
    """

    def __init__(self, broker: Broker, node: str) -> None:
        self._broker = broker
        self._node = node
        self._waiting: SimpleQueue[Event] = SimpleQueue()
        self._counting = threading.Lock()
        self._active: set[str] = set()
        self._processed = 0
        self._blocked = False
        self._backoff = Backoff(*BACKOFF)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="events", daemon=True)

    def start(self) -> None:
        """Begin to publish, with `worker-online`."""
        self._thread.start()

    def stop(self) -> None:
        """Publish what is left, and `worker-offline`; wait for that, but not for long."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(GOODBYE)

    def received(self, headers: object) -> None:
        """A message came, with these headers."""
        fields = received(headers)
        if fields is not None:
            self._tell("task-received", fields)

    def started(self, task_id: str) -> None:
        """A task begins."""
        with self._counting:
            self._active.add(task_id)
        self._tell("task-started", {"uuid": task_id})

    def succeeded(self, task_id: str, value: object, seconds: float) -> None:
        """A task has returned a value, after so many seconds."""
        self._over(task_id)
        fields = {"uuid": task_id, "result": shown(value), "runtime": seconds}
        self._tell("task-succeeded", fields)

    def failed(self, task_id: str, error: BaseException, trace: str | None) -> None:
        """A task has failed for good."""
        self._over(task_id)
        self._tell("task-failed", _trouble(task_id, error, trace))

    def retried(self, task_id: str, error: BaseException, trace: str | None) -> None:
        """A task has failed, and is tried again."""
        self._over(task_id)
        self._tell("task-retried", _trouble(task_id, error, trace))

    def revoked(self, task_id: str) -> None:
        """A task has expired before it began."""
        self._over(task_id)
        fields = {"uuid": task_id, "terminated": False, "signum": None, "expired": True}
        self._tell("task-revoked", fields)

    def rejected(self, task_id: str) -> None:
        """A message is refused for good."""
        self._over(task_id)
        self._tell("task-rejected", {"uuid": task_id, "requeue": False})

    def _over(self, task_id: str) -> None:
        with self._counting:
            self._active.discard(task_id)
            self._processed += 1

    def _tell(self, kind: str, fields: Event) -> None:
        if self._waiting.qsize() < MOST_WAITING:
            self._waiting.put(event(kind, self._node, **fields))

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                connection = EventConnection(self._broker, self._on_blocked)
            except Exception as error:  # noqa: BLE001  py-amqp and each transport have their own
                self._back_off(error)
                continue
            try:
                self._serve(connection)
            except Exception as error:  # noqa: BLE001  likewise
                connection.discard()
                self._back_off(error)
            else:
                connection.close()

    def _back_off(self, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        logger.warning("no events for now: %s; next attempt in %g s", problem, self._backoff.pause)
        self._stopped.wait(self._backoff.pause)
        self._backoff.lengthen()

    def _serve(self, connection: EventConnection) -> None:
        """Publish until the worker stops."""
        self._blocked = False
        self._say(connection, "worker-online")
        due = monotonic() + FREQUENCY
        while not self._stopped.wait(PAUSE):
            connection.look()
            if self._blocked:
                continue
            self._flush(connection)
            if monotonic() >= due:
                self._say(connection, "worker-heartbeat")
                self._backoff.reset()
                due = monotonic() + FREQUENCY
        if not self._blocked:
            self._flush(connection)
            self._say(connection, "worker-offline")

    def _flush(self, connection: EventConnection) -> None:
        while batch := self._batch():
            connection.publish(TASKS_KEY, packed(batch, self._node))

    def _batch(self) -> list[Event]:
        batch: list[Event] = []
        try:
            while len(batch) < BATCH:
                batch.append(self._waiting.get_nowait())
        except Empty:
            pass
        return batch

    def _say(self, connection: EventConnection, kind: str) -> None:
        """Publish an event of the worker itself."""
        with self._counting:
            active, processed = len(self._active), self._processed
        told = event(
            kind,
            self._node,
            freq=FREQUENCY,
            active=active,
            processed=processed,
            loadavg=[round(load, 2) for load in os.getloadavg()],
            sw_ident="routewright",
            sw_ver=__version__,
            sw_sys=platform.system(),
        )
        connection.publish(routing_key(kind), packed(told, self._node))

    def _on_blocked(self, blocked: bool) -> None:
        self._blocked = blocked


class NoEvents:
    """Stands where an announcer would, in a worker whose topology asks for no events."""

    def _ignore(self, *_about: object) -> None:
        """Nothing."""

    start = stop = received = started = _ignore
    succeeded = failed = retried = revoked = rejected = _ignore


def announcer_of(broker: Broker, node: str, *, events: bool) -> Announcer | NoEvents:
    """Returns what a worker announces by, if its topology asks for events at all."""
    return Announcer(broker, node) if events else NoEvents()


def _trouble(task_id: str, error: BaseException, trace: str | None) -> Event:
    return {
        "uuid": task_id,
        "exception": shown(error),
        "traceback": None if trace is None else trace[-MAX_TRACEBACK:],
    }
