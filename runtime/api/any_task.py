"""Every kind of task: its options, its arguments, being sent, and what it can do while it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypedDict, TypeVar

from routewright.runtime.errors import InvalidOption
from routewright.runtime.messages.message import Message, request
from routewright.runtime.results.progress import update_progress
from routewright.runtime.sending.delaying import due_at
from routewright.runtime.sending.options import CALL_ONLY, Call, Options, read_options
from routewright.runtime.sending.retrying import retry

if TYPE_CHECKING:
    from routewright.runtime.results.async_result import AsyncResult
    from routewright.runtime.sending.connection import Connection


R = TypeVar("R")


class AnyTask(Protocol):
    """What an app registers and a worker runs: a `Task` class, or a `FunctionTask`."""

    @property
    def name(self) -> str:
        """Its name in the topology."""
        ...

    def declared(self) -> Options:
        """What its definition says about sending."""
        ...

    def origin(self) -> tuple[str, str]:
        """Module and qualified name of the code."""
        ...

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError if it does not take these arguments."""
        ...

    def execute(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run it, as a worker does."""
        ...


class AnyApp(Protocol):
    """What a task needs of its app."""

    def register(self, new: AnyTask) -> None:
        """Make a task known."""
        ...

    def send(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], call: Call
    ) -> AsyncResult[Any]:
        """Send a task of that name along its route."""
        ...


class SendOptions(TypedDict, total=False):
    """What a task or a call may say about sending; see `Options`. None says nothing."""

    exchange: str | None
    routing_key: str | None
    queue: str | None
    priority: int | None
    serializer: str | None
    headers: Mapping[str, Any] | None
    expires: float | datetime | None
    mandatory: bool | None
    immediate: bool | None
    ignore_result: bool | None


class CallOptions(SendOptions, total=False):
    """The options of a call: those of a send, and those that no task can have."""

    task_id: str | None
    connection: Connection | None
    connect_timeout: float | None
    countdown: float | None
    eta: datetime | None


def read_call(where: str, given: CallOptions, declared: Options) -> Call:
    """Reads what a call says, of a task whose definition says `declared`.

    Raises:
        InvalidOption: there is no such option, or a time cannot be what it is.
    """
    if not given:
        return Call(declared=declared)
    options: dict[str, Any] = dict(given)
    task_id, connection = options.pop("task_id", None), options.pop("connection", None)
    connect_timeout = options.pop("connect_timeout", None)
    countdown, eta = options.pop("countdown", None), options.pop("eta", None)
    called = read_options(where, options, *CALL_ONLY)
    due = due_at(countdown, eta)
    return Call(task_id, connection, connect_timeout, called, declared, due)


def send(
    sent: AnyTask,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    options: CallOptions,
) -> AsyncResult[Any]:
    """Checks a call and hands it to the app of its task; see `Task.apply_async`."""
    call = read_call("apply_async", options, sent.declared())
    positional = () if args is None else args
    keywords = {} if kwargs is None else kwargs
    if not isinstance(positional, (list, tuple)):
        raise InvalidOption(f"args is a list or a tuple, not {type(args).__name__}")
    if not isinstance(keywords, Mapping):
        raise InvalidOption(f"kwargs is a mapping, not {type(kwargs).__name__}")
    app: AnyApp | None = getattr(sent, "app", None)
    if app is None:
        raise InvalidOption(f"task `{sent.name}` has no app; set `app = ...` in its class")
    sent.check(positional, keywords)
    return app.send(sent.name, positional, keywords, call)


def refuse_async(name: str, function: Callable[..., Any]) -> None:
    """Refuse a function that would give a coroutine for a result, and run nothing.

    Raises:
        InvalidOption: it is an `async def`.
    """
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidOption(
            f"task `{name}` is an `async def`, and a worker runs plain functions;"
            " call `asyncio.run(...)` in one"
        )


def bind_arguments(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Raise TypeError if the function does not take these arguments."""
    if not kwargs and len(args) in _positional(function):
        return
    signature = _signature(function)
    if signature is not None:
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{function.__qualname__}: {error}") from None


@lru_cache(maxsize=1024)
def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # one written in C may have none
        return None


@lru_cache(maxsize=1024)
def _positional(function: Callable[..., Any]) -> range:
    """How many positional arguments alone will do; looking costs a fifth of binding them."""
    signature = _signature(function)
    if signature is None:
        return range(0)
    kinds = inspect.Parameter
    parameters = signature.parameters.values()
    if any(it.kind is kinds.KEYWORD_ONLY and it.default is kinds.empty for it in parameters):
        return range(0)
    places = [
        it for it in parameters if it.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ]
    required = sum(it.default is kinds.empty for it in places)
    return range(required, len(places) + 1)


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


class WhileRunning:
    """Of `self` in a `Task`, and in a function with `bind=True`."""

    @property
    def request(self) -> Message:
        """The message whose task this thread is running.

        Raises:
            InvalidOption: no worker is running it.
        """
        return request()

    def retry(
        self,
        *,
        countdown: float | None = None,
        eta: datetime | None = None,
        exc: BaseException | None = None,
        max_retries: int | None = None,
    ) -> NoReturn:
        """End the running task, to be tried again: `raise self.retry(...)`.

        See `routewright.runtime.sending.retrying.retry` for the arguments.

        Raises:
            Retry: always, in a worker.
        """
        retry(countdown=countdown, eta=eta, exc=exc, max_retries=max_retries)

    def update_progress(self, done: float, total: float | None = None) -> None:
        """Say how far the task is: its sender sees it as `result.info`, in state PROGRESS.

        It costs little and waits for nothing: of what a fast loop says, the latest is passed on.
        Outside a worker it does nothing.
        """
        update_progress(done, total)
