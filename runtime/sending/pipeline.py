"""Many tasks sent on one connection, without waiting for each confirm before the next."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from routewright.runtime.errors import NotAllSent, Unsent
from routewright.runtime.results.async_result import AsyncResult
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.stream import Source, Stream

WINDOW = 1000  # messages; more make it no faster


class Pipeline:
    """Takes the sends of one thread, from `with` until the end of its block.

    A send inside the block returns before the broker has confirmed it; the end of the block waits
    for all confirms, and raises `NotAllSent` if any is missing. Other threads, forked children and
    other tasks of an event loop send as ever.

    Args:
        sender: whose sends it takes.
        source: where its link comes from; one within another uses the outer one's.
        connect_timeout: seconds to wait for a connection.
        window: how many messages may be unsettled.
    """

    def __init__(
        self,
        sender: Source,
        source: Source,
        *,
        connect_timeout: float | None = None,
        window: int = WINDOW,
    ) -> None:
        self._sender = sender
        self.stream = Stream(source, window=window, connect_timeout=connect_timeout)
        self._nested = False
        self._waiting: deque[tuple[int, Dispatch, AsyncResult[Any]]] = deque()
        self._failed: list[Unsent] = []
        self._count = 0
        self._owner = (os.getpid(), threading.get_ident())
        self._open = False

    @property
    def failed(self) -> tuple[Unsent, ...]:
        """The tasks that are known not to be sent; complete at the end of the block."""
        return tuple(self._failed)

    @property
    def sent(self) -> int:
        """How many tasks are confirmed; final at the end of the block."""
        self._look()
        return self._count - len(self._waiting) - len(self._failed)

    def __enter__(self) -> Self:
        """Take the sends of this thread from now on."""
        self._owner = (os.getpid(), threading.get_ident())
        outer = pipeline_of(self._sender)
        if outer is not None and outer.stream.source is self.stream.source:
            self.stream, self._nested = outer.stream, True
        self._open = True
        _open.set((*_open.get(), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        _open.set(tuple(each for each in _open.get() if each is not self))
        if self._owner[0] != os.getpid():
            return  # a child that was forked in the block, where nothing of it is the child's
        try:
            self.stream.settle()
        finally:
            if not self._nested:
                self.stream.close()
        self._look()
        if not self._failed:
            return
        not_all = NotAllSent.of(self._failed, self._count)
        if error is None:
            raise not_all
        error.add_note(str(not_all))

    def takes(self, sender: Source) -> bool:
        """Whether a send by the code that runs now is its own."""
        here = (os.getpid(), threading.get_ident())
        return self._open and self._sender is sender and self._owner == here

    def send(self, dispatch: Dispatch, result: AsyncResult[Any]) -> None:
        """Send one task; the broker's word on it comes later.

        Raises:
            SendError: nothing has left, as without a consumer for an immediate task.
        """
        self.stream.push(dispatch)
        if dispatch.error is not None and not dispatch.posted:
            raise dispatch.error
        self._waiting.append((self._count, dispatch, result))
        self._count += 1
        self._look()

    def _look(self) -> None:
        """Let go of what is settled."""
        waiting = self._waiting
        while waiting and waiting[0][1].settled:
            index, dispatch, result = waiting.popleft()
            if dispatch.error is not None:
                result.lose(f"it was not sent, or not surely: {dispatch.error}")
                self._failed.append(Unsent(index, result.task, result.id, dispatch.error))


_open: ContextVar[tuple[Pipeline, ...]] = ContextVar("routewright_pipelines", default=())


def pipeline_of(sender: Source) -> Pipeline | None:
    """The pipeline, the innermost if there are several, that a send goes to."""
    for pipeline in reversed(_open.get()):
        if pipeline.takes(sender):
            return pipeline
    return None
