"""Functions made tasks, by `@app.task` or `@task(app)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    Unpack,
    overload,
)

from routewright.runtime.api.any_task import (
    AnyApp,
    CallOptions,
    SendOptions,
    Signature,
    WhileRunning,
    bind_arguments,
    refuse_async,
    send,
)
from routewright.runtime.messages.naming import default_name
from routewright.runtime.sending.options import Options, read_options

if TYPE_CHECKING:
    from routewright.runtime.results.async_result import AsyncResult

P = ParamSpec("P")
R = TypeVar("R", covariant=True)  # noqa: PLC0105  `R` is what a reader of signatures expects
S = TypeVar("S")


class FunctionTask(WhileRunning, Generic[P, R]):
    """A function that can be sent; called directly, it is the function still."""

    def __init__(
        self,
        app: AnyApp,
        function: Callable[..., R],
        *,
        name: str | None = None,
        bind: bool = False,
        options: Options | None = None,
    ) -> None:
        update_wrapper(self, function)
        self.app = app
        self.name = name or default_name(function.__module__, function.__qualname__)
        refuse_async(self.name, function)
        self._function = function
        self._bound = (self,) if bind else ()
        self._options = options or Options()
        app.register(self)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self._function(*self._bound, *args, **kwargs)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send the task; see `apply_async`."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[R]:
        """Send the task along its route; see `Task.apply_async`."""
        return send(self, args, kwargs, options)

    def s(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """A call of the task that is yet to be sent, for a `TaskSet`."""
        return Signature(self, args, kwargs)

    def signature(
        self,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Signature[R]:
        """The same, with options of `apply_async`."""
        return Signature(self, tuple(args), kwargs or {}, options)

    def declared(self) -> Options:
        """What the decorator said about sending."""
        return self._options

    def origin(self) -> tuple[str, str]:
        """Module and qualified name of the code."""
        return self._function.__module__, self._function.__qualname__

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError if the function does not take these arguments."""
        bind_arguments(self._function, (*self._bound, *args), kwargs)

    def execute(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> R:
        """Run the function, as a worker does."""
        return self._function(*self._bound, *args, **kwargs)


class Decorator(Protocol):
    def __call__(self, function: Callable[P, S], /) -> FunctionTask[P, S]: ...


class BindingDecorator(Protocol):
    def __call__(self, function: Callable[Concatenate[Any, P], S], /) -> FunctionTask[P, S]: ...


@overload
def task(
    app: AnyApp,
    *,
    name: str | None = ...,
    bind: Literal[False] = ...,
    **options: Unpack[SendOptions],
) -> Decorator: ...


@overload
def task(
    app: AnyApp, *, name: str | None = ..., bind: Literal[True], **options: Unpack[SendOptions]
) -> BindingDecorator: ...


def task(
    app: AnyApp, *, name: str | None = None, bind: bool = False, **options: Unpack[SendOptions]
) -> Any:
    """Make a function a task of an app: `@task(app)`, the same as `@app.task`.

    Args:
        app: whose router and broker the task is sent by.
        name: the task's name in the topology; otherwise `module.function`.
        bind: pass the task itself as the first argument.
        options: as of `Options`.
    """
    declared = read_options("task", options, "name", "bind")

    def decorate(function: Callable[..., Any], /) -> FunctionTask[..., Any]:
        return FunctionTask(app, function, name=name, bind=bind, options=declared)

    return decorate
