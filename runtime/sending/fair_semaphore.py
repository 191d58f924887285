"""A semaphore that serves its waiters in their order."""

from __future__ import annotations

import threading
from collections import deque


class FairSemaphore:
    """At most `count` holders at a time.

    Unlike `threading.Semaphore`, what is released goes to the thread that has waited longest: one
    that releases and acquires again at once does not keep the others waiting.
    """

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._left = count
        self._waiters: deque[threading.Lock] = deque()  # each is released for the one who waits

    @property
    def waiting(self) -> int:
        """The number of threads that wait at the moment."""
        return len(self._waiters)

    def acquire(self, timeout: float = 0) -> bool:
        """Waits until there is room, for at most `timeout` seconds. Returns True if there was."""
        with self._lock:
            if self._left:
                self._left -= 1
                return True
            if timeout <= 0:
                return False
            mine = threading.Lock()
            mine.acquire()
            self._waiters.append(mine)
        try:
            acquired = mine.acquire(timeout=timeout)
        except BaseException:  # a signal's handler may raise
            if self._give_up(mine):
                self.release()
            raise
        return acquired or self._give_up(mine)

    def _give_up(self, mine: threading.Lock) -> bool:
        """Stops waiting. Returns True if it was acquired in the meantime."""
        with self._lock:
            if mine in self._waiters:
                self._waiters.remove(mine)
                return False
            return True

    def release(self) -> None:
        """Makes room for another."""
        with self._lock:
            if self._waiters:
                self._waiters.popleft().release()
            else:
                self._left += 1
