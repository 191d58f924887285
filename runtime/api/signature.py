"""A call of a task that is yet to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from routewright.runtime.results.async_result import AsyncResult

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Signature(Generic[R]):
    """A task, its arguments and the options to send it with."""

    task: Any
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def apply_async(self) -> AsyncResult[R]:
        """Send it; see `Task.apply_async`."""
        result: AsyncResult[R] = self.task.apply_async(self.args, self.kwargs, **self.options)
        return result
