"""Heartbeats of connections that nobody uses at the moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from weakref import WeakMethod

INTERVAL = 20.0  # seconds; a NAT gateway forgets a connection after a minute or more


class Pulse:
    """Calls `beat` at intervals, in a thread of its own, until it returns False.

    AMQP's own heartbeats would have the broker drop a sender that computes for a while between two
    sends. These are asked by us, and only of connections that are idle.

    Args:
        beat: a method, whose object is held weakly: the thread ends when it is gone.
    """

    def __init__(self, beat: Callable[[], bool]) -> None:
        self._beat = WeakMethod(beat)
        self._lock = threading.Lock()
        self._stopped: threading.Event | None = None  # of the thread that beats

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._stopped is not None:
            return
        with self._lock:
            if self._stopped is None:
                self._stopped = stopped = threading.Event()
                threading.Thread(
                    target=self._run, args=(stopped,), name="routewright-pulse", daemon=True
                ).start()

    def stop(self) -> None:
        """End, before the next call of `beat`; one that is under way goes on."""
        with self._lock:
            if self._stopped is not None:
                self._stopped.set()
                self._stopped = None

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.wait(INTERVAL):
            beat = self._beat()
            if beat is None or not beat():
                break
            del beat  # or the object lives as long as the thread
        with self._lock:
            if self._stopped is stopped:
                self._stopped = None
