"""Counts how often a task was running as a worker process died, in memory that all share.

A message whose task kills the process comes back, to the next process, and so on. The parent of the
processes counts how often each was running as a process died. One that has a count already runs
alone in its process, so that what others die of is not counted against it.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

WIDTH = 64  # bytes of a task id; longer ones are told apart by as many
SUSPECTS = 1024  # tasks that are counted; the oldest are forgotten first
PAUSE = 0.01  # seconds between two looks at whether a task is alone

_EMPTY = bytes(WIDTH)
_NOTHING = nullcontext()
_ENTRY = WIDTH + 1


class CrashCounts:
    """The shared memory: a place for each thread of each process, and the counts.

    Only the parent writes counts, and each thread only its own place.
    """

    def __init__(self, processes: int, threads: int) -> None:
        self._threads = threads
        self._size = SUSPECTS * _ENTRY
        self._memory = mmap.mmap(-1, self._size + processes * threads * WIDTH)
        self._next = 0

    def count(self, task_id: str) -> int:
        """Returns how often processes died with the task running."""
        key = _key(task_id)
        at = self._memory.find(key, 0, self._size)
        while at >= 0 and at % _ENTRY:
            at = self._memory.find(key, at + 1, self._size)
        return 0 if at < 0 else self._memory[at + WIDTH]

    def record_crash(self, process: int) -> list[int]:
        """Counts the death of a process against the tasks that it ran. Returns their counts."""
        counts = []
        for thread in range(self._threads):
            place = self._place(process, thread)
            key = self._memory[place : place + WIDTH]
            if key != _EMPTY:
                counts.append(self._raise_count(key))
                self._memory[place : place + WIDTH] = _EMPTY
        return counts

    def _raise_count(self, key: bytes) -> int:
        for number in range(SUSPECTS):
            at = number * _ENTRY
            if self._memory[at : at + WIDTH] == key:
                break
        else:
            at = self._next * _ENTRY
            self._next = (self._next + 1) % SUSPECTS
            self._memory[at : at + WIDTH] = key
            self._memory[at + WIDTH] = 0
        self._memory[at + WIDTH] = min(self._memory[at + WIDTH] + 1, 255)
        return self._memory[at + WIDTH]

    def forget(self, process: int) -> None:
        """Forgets what the predecessor of a process left running, which then blocks nobody."""
        for thread in range(self._threads):
            self.clear(process, thread)

    def note(self, process: int, thread: int, task_id: str) -> None:
        """Notes that a thread begins with a task."""
        place = self._place(process, thread)
        self._memory[place : place + WIDTH] = _key(task_id)

    def clear(self, process: int, thread: int) -> None:
        """Notes that a thread has ended its task."""
        place = self._place(process, thread)
        self._memory[place : place + WIDTH] = _EMPTY

    def running(self, process: int) -> int:
        """Returns how many threads of a process are running tasks."""
        places = (self._place(process, thread) for thread in range(self._threads))
        return sum(self._memory[place : place + WIDTH] != _EMPTY for place in places)

    def _place(self, process: int, thread: int) -> int:
        return self._size + (process * self._threads + thread) * WIDTH


class CrashWatch:
    """Where the threads of one process report what they run."""

    def __init__(self, counts: CrashCounts, process: int) -> None:
        self._counts = counts
        self._process = process
        self._alone = threading.Lock()
        self._someone_is_alone = False

    def count(self, task_id: str) -> int:
        """Returns how often processes died with the task running."""
        return self._counts.count(task_id)

    @contextmanager
    def watching(self, thread: int, task_id: str, *, alone: bool) -> Iterator[None]:
        """Reports a task while a thread runs it; `alone`, while no other thread runs any."""
        if alone:
            with self._alone:
                self._someone_is_alone = True
                try:
                    while self._counts.running(self._process):
                        _wait()
                    self._counts.note(self._process, thread, task_id)
                    yield
                finally:
                    self._counts.clear(self._process, thread)
                    self._someone_is_alone = False
            return
        self._counts.note(self._process, thread, task_id)
        while self._someone_is_alone:
            self._counts.clear(self._process, thread)
            with self._alone:
                pass
            self._counts.note(self._process, thread, task_id)
        try:
            yield
        finally:
            self._counts.clear(self._process, thread)


class NoCrashWatch:
    """Stands where a watch would, in a process whose death nobody looks into."""

    def count(self, _task_id: str) -> int:
        """Returns 0."""
        return 0

    def watching(
        self,
        thread: int,  # noqa: ARG002
        task_id: str,  # noqa: ARG002
        *,
        alone: bool,  # noqa: ARG002
    ) -> AbstractContextManager[None]:
        """Reports nothing."""
        return _NOTHING


def _key(task_id: str) -> bytes:
    return task_id.encode("utf-8", "surrogatepass")[:WIDTH].ljust(WIDTH, b"\0")


def _wait() -> None:
    threading.Event().wait(PAUSE)
