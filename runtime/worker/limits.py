"""Watches the time limits of running tasks, in the worker's network thread."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from routewright.runtime.errors import SoftTimeLimitExceeded
from routewright.runtime.messages.message import Message
from routewright.runtime.transport.consumer import Delivery


@dataclass(eq=False, slots=True)
class Limited:
    """A task that runs in a thread, and the times at which it must have ended."""

    message: Message
    delivery: Delivery
    thread: int  # as Python numbers it
    number: int  # as the worker does
    soft: float | None
    hard: float | None
    given_up: bool = False


class Limits:
    """The running tasks that have a limit.

    At the soft limit `SoftTimeLimitExceeded` is raised within the task, as soon as it executes
    Python code. Past the hard one it is given up: no thread can be ended from without.

    Args:
        give_up: is told of a task that has run for too long.
        wake: makes the network thread look here.
    """

    def __init__(self, give_up: Callable[[Limited], None], wake: Callable[[], None]) -> None:
        self._give_up = give_up
        self._wake = wake
        self._lock = threading.Lock()
        self._running: set[Limited] = set()

    def start(
        self,
        message: Message,
        delivery: Delivery,
        number: int,
        soft: float | None,
        hard: float | None,
    ) -> Limited:
        """A task begins in this thread; limits are in seconds."""
        now = monotonic()
        task = Limited(
            message,
            delivery,
            threading.get_ident(),
            number,
            None if soft is None else now + soft,
            None if hard is None else now + hard,
        )
        with self._lock:
            self._running.add(task)
        self._wake()
        return task

    def stop(self, task: Limited) -> None:
        """A task has ended; nothing is raised in its thread any more."""
        try:
            with self._lock:
                self._running.discard(task)
            _breathe()
        except SoftTimeLimitExceeded:  # it was on its way as the task ended
            with self._lock:
                self._running.discard(task)

    def look(self) -> None:
        """Raise in the tasks, or give up, what has run for too long."""
        if not self._running:
            return
        now = monotonic()
        with self._lock:
            late = [task for task in self._running if task.hard is not None and task.hard <= now]
            for task in late:
                task.given_up = True
                self._running.discard(task)
            for task in self._running:
                if task.soft is not None and task.soft <= now:
                    task.soft = None
                    _raise_in(task.thread, SoftTimeLimitExceeded)
        for task in late:
            self._give_up(task)

    def patience(self, longest: float) -> float:
        """Returns the seconds that are left to the next limit; at most `longest`."""
        if not self._running:
            return longest
        with self._lock:
            times = [
                limit
                for task in self._running
                for limit in (task.soft, task.hard)
                if limit is not None
            ]
        return min(longest, max(min(times, default=monotonic() + longest) - monotonic(), 0.0))


def _raise_in(thread: int, error: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def _breathe() -> None:
    """Run some bytecode, during which an exception that is under way arrives."""
    for _ in range(3):
        pass
