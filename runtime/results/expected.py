"""The results that outcomes are expected for, each for as long as somebody holds it."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet, WeakValueDictionary

from routewright.runtime.results.async_result import AsyncResult


class Expected:
    """Results by the id of their task; whoever calls holds the lock of their home.

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
