"""Turns at something of which there are only so many, first come, first served."""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """At most so many turns at a time.

    Unlike those of `threading.Semaphore`, a turn that ends goes to who has waited longest: a thread
    that ends one and wants the next at once does not keep the others waiting for ever.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._left = count
        self._waiting: deque[threading.Lock] = deque()  # each is released for who waits on it

    def begin(self, wait: float = 0) -> bool:
        """Begin a turn, perhaps after so many seconds; whether there was one."""
        with self._lock:
            if self._left:
                self._left -= 1
                return True
            if wait <= 0:
                return False
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            begun = mine.acquire(timeout=wait)
        except BaseException:  # as of a signal's handler
            if self._leave(mine):
                self.end()
            raise
        return begun or self._leave(mine)

    def _leave(self, mine: threading.Lock) -> bool:
        """Wait no more; whether the turn came all the same, in the last moment."""
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
            return True

    def end(self) -> None:
        """End a turn."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._left += 1
