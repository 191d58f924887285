"""Tasks as classes."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from routewright.runtime.api.any_task import (
    AnyApp,
    CallOptions,
    Signature,
    WhileRunning,
    bind_arguments,
    refuse_async,
    send,
)
from routewright.runtime.messages.naming import default_name
from routewright.runtime.sending.options import OPTIONS, Options

if TYPE_CHECKING:
    from routewright.runtime.results.async_result import AsyncResult


_declared = attrgetter(*OPTIONS)


class Task(WhileRunning):
    """A task: subclass it, give it an `app` and a `run`, and send it by the class.

    A worker makes one instance, and runs it in several threads at a time. The options are those of
    `Options`; None leaves one to the route. A class without an `app` or a `run` of its own, or that
    says `abstract = True`, is a base for others and no task.
    """

    app: ClassVar[AnyApp]
    name: ClassVar[str]
    abstract: ClassVar[bool] = True

    exchange: ClassVar[str | None] = None
    routing_key: ClassVar[str | None] = None
    queue: ClassVar[str | None] = None
    priority: ClassVar[int | None] = None
    serializer: ClassVar[str | None] = None
    headers: ClassVar[Mapping[str, Any] | None] = None
    expires: ClassVar[float | datetime | None] = None
    mandatory: ClassVar[bool | None] = None
    immediate: ClassVar[bool | None] = None
    ignore_result: ClassVar[bool | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the class with its app, if it is a task."""
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = default_name(cls.__module__, cls.__qualname__)
        if "abstract" not in cls.__dict__:
            cls.abstract = not hasattr(cls, "app") or cls.run is Task.run
        refuse_async(cls.name, cls.run)
        if not cls.abstract:
            cls.app.register(cls)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What the task does; its value is the result."""
        raise NotImplementedError(f"task `{self.name}` has no run()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task here and now."""
        return self.run(*args, **kwargs)

    @classmethod
    def delay(cls, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Send the task; see `apply_async`."""
        return cls.apply_async(args, kwargs)

    @classmethod
    def apply_async(
        cls,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[Any]:
        """Send the task along its route.

        Args:
            args: positional arguments of the task.
            kwargs: keyword arguments of the task.
            task_id: a new one unless it is given.
            connection: what to send on, instead of a connection of the app's pool.
            connect_timeout: seconds to wait for a connection, if there is none yet.
            countdown: seconds from now, before which the task does not run.
            eta: the time before which the task does not run; a naive one is local time.
            options: as of `Options`; they win over the class's and the route's.

        Raises:
            TypeError: `run` does not take these arguments.
            InvalidOption: an option has a value that it cannot have.
            UnknownTask, UnknownExchange, UnknownQueue: the topology declares no such thing.
            InvalidParameter: the routing key has a placeholder that the call does not fill.
            SendError: the task was not sent, or not surely; the subclass says which.
        """
        return send(cls, args, kwargs, options)

    @classmethod
    def s(cls, *args: Any, **kwargs: Any) -> Signature[Any]:
        """A call of the task that is yet to be sent, for a `TaskSet`."""
        return Signature(cls, args, kwargs)

    @classmethod
    def signature(
        cls,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Signature[Any]:
        """The same, with options of `apply_async`."""
        return Signature(cls, tuple(args), kwargs or {}, options)

    @classmethod
    def declared(cls) -> Options:
        """What the class says about sending."""
        return Options(*_declared(cls))

    @classmethod
    def origin(cls) -> tuple[str, str]:
        """Module and qualified name of the code."""
        return cls.__module__, cls.__qualname__

    @classmethod
    def check(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError if `run` does not take these arguments."""
        run = inspect.getattr_static(cls, "run")
        if isinstance(run, staticmethod):
            bind_arguments(run.__func__, args, kwargs)
        elif inspect.isfunction(run):
            bind_arguments(run, (None, *args), kwargs)

    @classmethod
    def execute(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run the task, as a worker does."""
        instance = _instances.get(cls)
        if instance is None:  # an instance may be false
            instance = cls._make()
        return instance.run(*args, **kwargs)

    @classmethod
    def _make(cls) -> Task:
        with _making:  # two threads may come with the first two messages
            if cls not in _instances:
                _instances[cls] = cls()
            return _instances[cls]


_instances: dict[type[Task], Task] = {}
_making = threading.RLock()  # a constructor may run another task
