"""The results that a home of results expects, and the thread that reads their outcomes."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.results.async_result import AsyncResult
from routewright.runtime.transport.waker import Waker

PAUSES = (0.1, 5.0)  # seconds between two attempts at reconnecting: at first, and at most


class Expected:
    """Results by the id of their task, each for as long as somebody holds it.

    Whoever calls holds the lock of their home.

    An id may have several, as one that is sent twice. The first of them is the one that is found;
    it knows the others, weakly, and each of them holds it.
    """

    def __init__(self) -> None:
        self._first: WeakValueDictionary[str, AsyncResult[Any]] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._first)

    def add(self, result: AsyncResult[Any]) -> None:
        """Expect the outcome of a result, which may be expected already."""
        first = self._first.setdefault(result.id, result)
        if first is result or result.first is first:
            return
        if first.twins is None:
            first.twins = WeakSet()
        first.twins.add(result)
        result.first = first

    def of(self, task_id: str) -> list[AsyncResult[Any]]:
        """The results of an id."""
        first = self._first.get(task_id)
        return [] if first is None else [first, *(first.twins or ())]

    def ids(self) -> list[str]:
        """The ids of all of them."""
        return list(self._first.keys())

    def discard(self, task_id: str) -> None:
        """Expect nothing more for an id."""
        self._first.pop(task_id, None)

    def lose(self, reason: str) -> None:
        """Tells whoever waits for one of them that no outcome will come any more."""
        for task_id in self.ids():
            for result in self.of(task_id):
                if not result.is_over():
                    result.lose(reason)


class ReaderThread(threading.Thread):
    """Reads outcomes until it is stopped; a subclass says how, in `run`."""

    def __init__(self, unique: str) -> None:
        super().__init__(name=f"routewright-results-{unique[:8]}", daemon=True)
        self._waker = Waker()
        self._stopping = threading.Event()
        self._backoff = Backoff(*PAUSES)

    def stop(self) -> None:
        """Stops it, and waits until it has."""
        self._stopping.set()
        self._waker.wake()
        # The garbage collector closes a forgotten app in whatever thread it runs, also in this.
        if threading.current_thread() is not self:
            self.join(timeout=10)
        self._waker.close()

    def abandon(self) -> None:
        """Lets go of it in a forked child, where the thread does not run."""
        self._waker.close()
