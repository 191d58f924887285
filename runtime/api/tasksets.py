"""Sets of tasks, sent together and waited for together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from routewright.runtime.api.any_task import Signature
from routewright.runtime.errors import (
    BrokerUnreachable,
    InvalidOption,
    NotAllSent,
    ResultTimeout,
    RoutewrightError,
    Unsent,
)
from routewright.runtime.messages.message import new_id
from routewright.runtime.messages.outcome import FAILURE, READY, SUCCESS
from routewright.runtime.results.async_result import AsyncResult, Home
from routewright.runtime.sending.connection import Connection
from routewright.runtime.sending.pipeline import Pipeline


class TaskSet:
    """Tasks to send on one connection, by pipelined confirms.

    Args:
        tasks: what to send, as `AddTask.signature(args=[2, 2])` or `AddTask.s(2, 2)` make it; all
            of one app.
    """

    def __init__(self, tasks: Iterable[Signature[Any]]) -> None:
        self.tasks = tuple(tasks)
        for task in self.tasks:
            if not isinstance(task, Signature):
                raise InvalidOption(f"a TaskSet is made of signatures, and {task!r} is none")
        if len({id(task.task.app) for task in self.tasks}) > 1:
            raise InvalidOption("the tasks of a TaskSet are all of one app")

    def __len__(self) -> int:
        return len(self.tasks)

    def apply_async(
        self, *, connection: Connection | None = None, connect_timeout: float | None = None
    ) -> TaskSetResult:
        """Send all of them, and return when the broker has confirmed each.

        Raises:
            NotAllSent: some were not sent: `failed` tells which and why, and `results` is what
                would have been returned.
        """
        if not self.tasks:
            return TaskSetResult((), ())
        sending = _Sending(self.tasks)
        pipeline: Pipeline = self.tasks[0].task.app.pipeline(connection, connect_timeout)
        try:
            with pipeline:
                sending.send_all()
        except NotAllSent:
            sending.learn(pipeline.failed)
        return sending.finish()


class _Sending:
    """The tasks of a set on their way; what is wrong with one keeps no other from being sent."""

    def __init__(self, tasks: Sequence[Signature[Any]]) -> None:
        self._tasks = tasks
        self._results: list[AsyncResult[Any]] = []
        self._errors: dict[int, Exception] = {}
        self._taken: list[int] = []  # the tasks that the pipeline has taken, by their place here

    def send_all(self) -> None:
        unreachable: BrokerUnreachable | None = None
        for index, task in enumerate(self._tasks):
            task_id = str(task.options.get("task_id") or new_id())
            try:
                if unreachable is not None:
                    raise BrokerUnreachable(f"not tried, after this: {unreachable}")
                result = replace(task, options={**task.options, "task_id": task_id}).apply_async()
            except (RoutewrightError, TypeError) as error:
                unreachable = error if isinstance(error, BrokerUnreachable) else unreachable
                self._errors[index] = error
                result = AsyncResult.without(task_id, task.task.name, f"it was not sent: {error}")
            else:
                self._taken.append(index)
            self._results.append(result)

    def learn(self, failed: Sequence[Unsent]) -> None:
        for each in failed:
            self._errors[self._taken[each.index]] = each.error

    def finish(self) -> TaskSetResult:
        outcomes = tuple(self._errors.get(index) for index in range(len(self._tasks)))
        results = TaskSetResult(self._results, outcomes)
        failed = [
            Unsent(index, self._results[index].task, self._results[index].id, error)
            for index, error in sorted(self._errors.items())
        ]
        if failed:
            error = NotAllSent.of(failed, len(self._tasks))
            error.results = results
            raise error
        return results


class TaskSetResult:
    """The results of a set of tasks, in the order of the tasks.

    `outcomes` tells of each whether it was sent: None, or the error that it failed with.
    """

    def __init__(
        self, results: Sequence[AsyncResult[Any]], outcomes: Sequence[Exception | None]
    ) -> None:
        self.results = tuple(results)
        self.outcomes = tuple(outcomes)

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[AsyncResult[Any]]:
        return iter(self.results)

    def __getitem__(self, index: int) -> AsyncResult[Any]:
        return self.results[index]

    def ready(self) -> bool:
        """Whether all of the tasks are over."""
        return not self.waiting()

    def waiting(self) -> bool:
        """Whether any of them is yet to be over."""
        self._refresh()
        return any(result.known_status() not in READY for result in self.results)

    def successful(self) -> bool:
        """Whether all of them returned a value."""
        return self.completed_count() == len(self)

    def failed(self) -> bool:
        """Whether any of them raised."""
        self._refresh()
        return any(result.known_status() == FAILURE for result in self.results)

    def completed_count(self) -> int:
        """How many of them returned a value, so far."""
        self._refresh()
        return sum(result.known_status() == SUCCESS for result in self.results)

    def join(self, timeout: float | None = None, *, propagate: bool = True) -> list[Any]:
        """The values of all of them, in the order of the tasks; see `AsyncResult.get`.

        Args:
            timeout: seconds to wait for all of them together.
            propagate: raise the first exception, in the order of the tasks.
        """
        deadline = None if timeout is None else monotonic() + timeout
        self._listen()
        return [result.get(_left(deadline), propagate=propagate) for result in self.results]

    get = join

    def as_completed(self, timeout: float | None = None) -> Iterator[AsyncResult[Any]]:
        """Each result as soon as it is there, or as it is known that it never will be.

        Args:
            timeout: seconds to wait for all of them together.

        Raises:
            ResultTimeout: not all of them were there in time.
        """
        deadline = None if timeout is None else monotonic() + timeout
        arrived: SimpleQueue[AsyncResult[Any]] = SimpleQueue()
        on_done = arrived.put
        self._listen()
        try:
            for result in self.results:
                result.add_done_callback(on_done)
            for count in range(len(self)):
                try:
                    result = arrived.get(timeout=_left(deadline))
                except Empty:
                    raise ResultTimeout(
                        f"{len(self) - count:,} of {len(self):,} results did not arrive in"
                        f" {timeout:g} s"
                    ) from None
                yield result
        finally:
            for result in self.results:
                result.remove_done_callback(on_done)

    def forget(self) -> None:
        """Throw all of the results away; see `AsyncResult.forget`."""
        for result in self.results:
            result.forget()

    def _listen(self) -> None:
        for home, results in self._open():
            home.listen_for(results)

    def _refresh(self) -> None:
        for home, results in self._open():
            home.refresh(results)

    def _open(self) -> list[tuple[Home, list[AsyncResult[Any]]]]:
        """Those that are not over, by where they come from; it takes them all at once."""
        found: dict[int, tuple[Home, list[AsyncResult[Any]]]] = {}
        for result in self.results:
            if result.home is not None and not result.is_over():
                found.setdefault(id(result.home), (result.home, []))[1].append(result)
        return list(found.values())


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - monotonic(), 0)
