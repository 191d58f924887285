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
        self._beating = False
        self._stopped = threading.Event()

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._beating:
            return
        with self._lock:
            if not self._beating:
                self._beating = True
                self._stopped.clear()
                threading.Thread(target=self._run, name="routewright-pulse", daemon=True).start()

    def stop(self) -> None:
        """End, before the next call of `beat`."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL):
            beat = self._beat()
            if beat is None or not beat():
                break
            del beat  # or the object lives as long as the thread
        with self._lock:
            self._beating = False
