"""The result of a sent task, as its sender sees it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast
from weakref import WeakSet

from routewright.runtime.errors import NoResult, ResultTimeout
from routewright.runtime.messages.exceptions import decode_exception
from routewright.runtime.messages.outcome import (
    EXCEPTIONS,
    FAILURE,
    PENDING,
    READY,
    SUCCESS,
    Outcome,
)

R = TypeVar("R")


class Home(Protocol):
    """Where results come from."""

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """Guards who waits for its results; the same thread may take it again."""
        ...

    def listen_for(self, results: Iterable[AsyncResult[Any]]) -> None:
        """Starts listening for the outcomes of these results."""
        ...

    def refresh(self, results: Iterable[AsyncResult[Any]]) -> None:
        """Settle those of these whose outcomes are there to be looked up."""
        ...

    def forget(self, result: AsyncResult[Any]) -> None:
        """Throw the outcome away."""
        ...


DoneCallback: TypeAlias = Callable[["AsyncResult[Any]"], object]
"""What is called with a result, once, when it is over."""


class AsyncResult(Generic[R]):
    """What will become of one task. It is told by its home's thread; any thread may ask.

    `task` is the task's name, empty if only the id is known.
    """

    # Every send makes one: what most of them never have is not set in each.
    twins: WeakSet[AsyncResult[Any]] | None = None  # others of the same id, which hear of it by us
    first: AsyncResult[Any] | None = None  # the one that we hear of it by
    _outcome: Outcome | None = None
    _error: Exception | None = None
    _lost: str | None = None  # why no result will ever come
    _waiting: tuple[DoneCallback, ...] = ()

    def __init__(self, task_id: str, task: str, home: Home | None) -> None:
        self.id = task_id
        self.task = task
        self.home = home

    @classmethod
    def without(cls, task_id: str, task: str, reason: str) -> AsyncResult[Any]:
        """The result of a task that will never have one."""
        self = cls(task_id, task, None)
        self._lost = reason
        return self

    def __repr__(self) -> str:
        return f"<AsyncResult {self.task}[{self.id}] {self.known_status()}>"

    @property
    def task_id(self) -> str:
        """The same as `id`."""
        return self.id

    def get(self, timeout: float | None = None, *, propagate: bool = True) -> R:
        """Wait for the result and return it.

        Args:
            timeout: seconds to wait; None waits for ever.
            propagate: raise the task's exception; otherwise it is returned.

        Raises:
            ResultTimeout: the result did not arrive in time.
            NoResult: it never will: the task ignores its result, or was sent by another process.
            StoreUnreachable: it would come from a Redis that could not be reached yet.
            Exception: what the task raised, of the same type if that can be imported here, with the
                worker's traceback as a note.
        """
        if not self.is_over():
            self._wait(timeout)
        if self._outcome is None or self._outcome.status not in READY:
            raise NoResult(f"{self._named()} has no result here: {self._lost}")
        error = self._exception()
        if error is not None:
            if propagate:
                raise error
            return cast("R", error)
        return cast("R", self._outcome.result)

    def _wait(self, timeout: float | None) -> None:
        if self.home is not None:
            self.home.listen_for([self])
        latch = threading.Lock()
        latch.acquire()

        def release(_: AsyncResult[Any]) -> None:
            latch.release()

        self.add_done_callback(release)
        seconds = -1 if timeout is None else min(max(timeout, 0), threading.TIMEOUT_MAX)
        try:
            if not latch.acquire(timeout=seconds):
                raise ResultTimeout(
                    f"no result of {self._named()} in {timeout:g} s; it is {self.known_status()}"
                )
        finally:
            self.remove_done_callback(release)

    def add_done_callback(self, callback: DoneCallback) -> None:
        """Has a callback called once, as soon as nothing more is to be expected; perhaps at once.

        It must not block. Whoever waits makes what it waits with: most results are never waited
        for.
        """
        if self.home is not None:
            with self.home.lock:
                if not self.is_over():
                    self._waiting = (*self._waiting, callback)
                    return
        callback(self)

    def remove_done_callback(self, callback: DoneCallback) -> None:
        """Takes a callback back; does nothing if it was called already."""
        if self.home is not None and self._waiting:
            with self.home.lock:
                self._waiting = tuple(each for each in self._waiting if each is not callback)

    def is_over(self) -> bool:
        """Whether nothing more is to be expected: it is there, or never to come; asks nobody."""
        return self._lost is not None or (
            self._outcome is not None and self._outcome.status in READY
        )

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
        """PENDING (or not known), STARTED, PROGRESS, RETRY, SUCCESS, FAILURE or REVOKED.

        A Celery worker's task may have made up one of its own.
        """
        self._look()
        return self.known_status()

    @property
    def state(self) -> str:
        """The same as `status`."""
        return self.status

    @property
    def result(self) -> R | Exception | None:
        """The value, or the exception of a task that failed; None as long as neither is there."""
        return cast("R | Exception | None", self.info) if self.ready() else None

    @property
    def info(self) -> Any:
        """The same, and until then what the task tells of itself: `{"done": 3, "total": 10}`."""
        self._look()
        return self._exception() or (self._outcome and self._outcome.result)

    @property
    def traceback(self) -> str | None:
        """The worker's traceback, if the task raised."""
        self._look()
        return self._outcome.traceback if self._outcome is not None else None

    @property
    def date_done(self) -> datetime | None:
        """When the task was over, by the worker's clock."""
        self._look()
        return self._outcome.date_done if self._outcome is not None else None

    def forget(self) -> None:
        """Throw the result away, here and, in Redis, for everybody."""
        if self.home is not None:
            self.home.forget(self)
        self.lose("it was forgotten")
        self._outcome = self._error = None

    def _named(self) -> str:
        return f"task `{self.task}` ({self.id})" if self.task else f"task {self.id}"

    def _look(self) -> None:
        if self.home is not None and not self.is_over():
            self.home.refresh([self])

    def known_status(self) -> str:
        """The status as far as it is known here; asks nobody."""
        return self._outcome.status if self._outcome is not None else PENDING

    def _exception(self) -> Exception | None:
        outcome = self._outcome
        if outcome is None or outcome.status not in EXCEPTIONS:
            return None
        if self._error is None or outcome.status not in READY:  # of each attempt another
            error = decode_exception(outcome.result)
            if outcome.traceback:
                error.add_note(f"In the worker, {self._named()}:\n{outcome.traceback}")
            self._error = error
        return self._error

    def settle(self, outcome: Outcome) -> None:
        """Take what the worker says; a final word is final, though a redelivery may say more."""
        if self.home is None or self.is_over():
            return
        with self.home.lock:
            if self.is_over():
                return
            self._outcome = outcome
        if outcome.status in READY:
            self._call_back()

    def lose(self, reason: str) -> None:
        """No result will come any more; whoever waits is told so."""
        self._lost = reason
        self._call_back()

    def _call_back(self) -> None:
        if self.home is not None:
            with self.home.lock:
                waiting, self._waiting = self._waiting, ()
            for callback in waiting:
                callback(self)
