"""The result of a sent task, as its sender sees it."""

from __future__ import annotations

import os
import threading
from typing import Any, Generic, TypeVar, cast
from weakref import WeakSet

from routewright.runtime.errors import NoResult, ResultTimeout
from routewright.runtime.outcome import FAILURE, PENDING, READY, REVOKED, SUCCESS, Outcome
from routewright.runtime.remote import decode_exception

R = TypeVar("R")


class AsyncResult(Generic[R]):
    """What will become of one task. It is told by the reply queue's thread; any thread may ask."""

    __slots__ = (
        "__weakref__",
        "_arrived",
        "_error",
        "_lost",
        "_outcome",
        "_pid",
        "id",
        "task",
        "twins",
    )

    def __init__(self, task_id: str, task: str, *, lost: str | None = None) -> None:
        self.id = task_id
        self.task = task
        self._arrived = threading.Event()
        self._outcome: Outcome | None = None
        self._error: Exception | None = None
        self._lost = lost  # why no result will ever come
        self._pid = os.getpid()
        self.twins: WeakSet[AsyncResult[Any]] | None = None  # of the same id, and this one

    def __repr__(self) -> str:
        return f"<AsyncResult {self.task}[{self.id}] {self.status}>"

    def get(self, timeout: float | None = None, *, propagate: bool = True) -> R:
        """Wait for the result and return it.

        Args:
            timeout: seconds to wait; None waits for ever.
            propagate: raise the task's exception; otherwise it is returned.

        Raises:
            ResultTimeout: the result did not arrive in time.
            NoResult: it never will: the task ignores its result, or was sent by another process.
            Exception: what the task raised, of the same type if that can be imported here, with the
                worker's traceback as a note.
        """
        if not self.ready():
            self._wait(timeout)
        error = self._exception()
        if error is not None:
            if propagate:
                raise error
            return cast("R", error)
        return cast("R", self._outcome and self._outcome.result)

    def _wait(self, timeout: float | None) -> None:
        if self._lost is None and self._pid != os.getpid():
            self._lost = "it was sent before a fork, and goes to the parent process"
        if self._lost is None and not self._arrived.wait(timeout):
            raise ResultTimeout(
                f"no result of task `{self.task}` ({self.id}) in {timeout:g} s; it is {self.status}"
            )
        if not self.ready():
            raise NoResult(f"task `{self.task}` ({self.id}) has no result here: {self._lost}")

    def ready(self) -> bool:
        """Whether the task is over: it succeeded, failed or was revoked."""
        return self.status in READY

    def successful(self) -> bool:
        """Whether the task returned a value."""
        return self.status == SUCCESS

    def failed(self) -> bool:
        """Whether the task raised."""
        return self.status == FAILURE

    @property
    def status(self) -> str:
        """PENDING (or not known), STARTED, RETRY, SUCCESS, FAILURE or REVOKED."""
        return self._outcome.status if self._outcome is not None else PENDING

    @property
    def result(self) -> R | Exception | None:
        """The value, or the exception of a task that failed; None as long as neither is there."""
        if not self.ready():
            return None
        return self._exception() or cast("R", self._outcome and self._outcome.result)

    @property
    def traceback(self) -> str | None:
        """The worker's traceback, if the task raised."""
        return self._outcome.traceback if self._outcome is not None else None

    def _exception(self) -> Exception | None:
        outcome = self._outcome
        if outcome is None or outcome.status not in (FAILURE, REVOKED):
            return None
        if self._error is None:
            error = decode_exception(outcome.result)
            if outcome.traceback:
                error.add_note(f"In the worker, task {self.task}[{self.id}]:\n{outcome.traceback}")
            self._error = error
        return self._error

    def settle(self, outcome: Outcome) -> None:
        """Take what the worker says; a final word is final, though a redelivery may say more."""
        if self.ready():
            return
        self._outcome = outcome
        if outcome.status in READY:
            self._arrived.set()

    def lose(self, reason: str) -> None:
        """No result will come any more; whoever waits is told so."""
        self._lost = reason
        self._arrived.set()
