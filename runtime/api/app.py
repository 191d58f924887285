"""The application: binds a compiled router to a broker, and knows the tasks."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, Self, TypeVar, Unpack, cast, overload

from routewright.runtime.api.any_task import AnyTask, CallOptions, SendOptions, read_call
from routewright.runtime.api.task_function import BindingDecorator, Decorator, FunctionTask, task
from routewright.runtime.errors import DuplicateTask, InvalidOption
from routewright.runtime.results.async_result import AsyncResult
from routewright.runtime.results.stores import RPC, Results, results_at
from routewright.runtime.router.route import Router
from routewright.runtime.sending.confirming_link import LinkSettings
from routewright.runtime.sending.connection import Connection
from routewright.runtime.sending.options import NO_OPTIONS, Call
from routewright.runtime.sending.pipeline import Pipeline
from routewright.runtime.sending.publisher import Publisher
from routewright.runtime.sending.sender import Sender
from routewright.runtime.transport.broker import Broker, seconds

DEFAULT_BROKER = "amqp://guest:guest@localhost:5672//"

P = ParamSpec("P")
R = TypeVar("R")


class App:
    """An application: its router, its broker, its tasks.

    Any thread may send. A forked child makes connections of its own. It is a context manager;
    otherwise it is closed when the process ends.

    Args:
        router: the generated `router`.
        broker: a URL as kombu takes it; `$ROUTEWRIGHT_BROKER` if None, then the local RabbitMQ.
        results: `redis://HOST:PORT/DATABASE`, or `rpc://` for results that go back to their sender
            over the broker; `$ROUTEWRIGHT_RESULTS` if None, then `rpc://`.
        track_started: have workers say of each task that it has started, which makes its result
            STARTED until it is over.
        include: modules that hold tasks, which a worker imports beside the app's own.
        pool_limit: how many connections may be sending at the same time.
        connect_timeout: seconds that connecting may take, look-up of names and retries included.
        confirm_timeout: seconds that the broker may take to confirm a message.
        retry_budget: seconds for which a send whose connection broke is tried again.
        ssl: kombu's `ssl`, for what an `amqps:` URL cannot say. Unless it says otherwise, each
            host must have a trusted certificate that is for its name.

    Raises:
        InvalidOption: a URL cannot be read, has an option that it cannot have, or names another
            virtual host than the topology.
    """

    def __init__(
        self,
        router: Router[Any],
        broker: str | None = None,
        *,
        results: str | None = None,
        track_started: bool = False,
        include: Sequence[str] = (),
        pool_limit: int = 10,
        connect_timeout: float = 4.0,
        confirm_timeout: float = 10.0,
        retry_budget: float = 10.0,
        ssl: bool | Mapping[str, Any] = False,
    ) -> None:
        self.router = router
        self.include = tuple(include)
        self.track_started = track_started
        self.tasks: dict[str, AnyTask] = {}
        url = broker or os.environ.get("ROUTEWRIGHT_BROKER") or DEFAULT_BROKER
        self.broker = Broker(
            url,
            vhost=router.vhost,
            connect_timeout=connect_timeout,
            retry_budget=retry_budget,
            ssl=ssl,
        )
        settings = LinkSettings(
            self.broker, seconds("confirm_timeout", confirm_timeout), router.events
        )
        self.publisher = Publisher(settings, limit=pool_limit)
        results_url = results or os.environ.get("ROUTEWRIGHT_RESULTS") or RPC
        self.results: Results = results_at(results_url, self.broker)
        self._sender = Sender(router, self.publisher, self.results)
        # Runs when the app is collected, and before the process ends.
        weakref.finalize(self, _close, self.results, self.publisher)
        _apps.add(self)

    def __repr__(self) -> str:
        return f"<App of topology `{self.router.topology}` at {self.broker.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @overload
    def task(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...

    @overload
    def task(
        self,
        *,
        name: str | None = ...,
        bind: Literal[False] = ...,
        **options: Unpack[SendOptions],
    ) -> Decorator: ...

    @overload
    def task(
        self, *, name: str | None = ..., bind: Literal[True], **options: Unpack[SendOptions]
    ) -> BindingDecorator: ...

    def task(self, *function: Any, **options: Any) -> Any:
        """Make a function a task: `@app.task`, or `@app.task(name="media.Crop", priority=0)`.

        Args:
            function: the function, if the decorator has no arguments.
            options: `name`, the task's name in the topology, otherwise `module.function`; `bind`,
                whether to pass the task itself as the first argument; and those of `Options`.
        """
        decorate = cast("Any", task)(self, **options)
        return decorate(*function) if function else decorate

    def register(self, new: AnyTask) -> None:
        """Make a task known to this app's workers.

        Raises:
            DuplicateTask: other code has the name already. (The same code may come again: a module
                that is reloaded.)
        """
        old = self.tasks.get(new.name)
        if old is not None and old.origin() != new.origin():
            raise DuplicateTask(
                f"two tasks are named `{new.name}`: {':'.join(old.origin())} and"
                f" {':'.join(new.origin())}"
            )
        self.tasks[new.name] = new

    def send_task(
        self,
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> AsyncResult[Any]:
        """Send a task by its name alone, for a sender that has not its code."""
        return self.send(name, args, kwargs or {}, read_call("send_task", options, NO_OPTIONS))

    def send(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], call: Call
    ) -> AsyncResult[Any]:
        """Send one task along its route; what `apply_async` does.

        Raises:
            UnknownTask, UnknownExchange, UnknownQueue: the topology declares no such thing.
            InvalidParameter: the routing key has a placeholder that the call does not fill.
            InvalidOption, SendError: as of `Task.apply_async`.
        """
        return self._sender.send(name, args, kwargs, call)

    def AsyncResult(self, task_id: str) -> AsyncResult[Any]:  # noqa: N802  as Celery's users know it
        """The result of a task by its id, from any process where results are kept in Redis.

        A task that is not known there is PENDING, as one that has not run yet.

        Raises:
            NoResult: results go by rpc, and this app holds none of that id.
        """
        return self.results.look_up(task_id)

    def establish_connection(self, connect_timeout: float | None = None) -> Connection:
        """A connection of one's own, for `apply_async(..., connection=...)`.

        Args:
            connect_timeout: seconds to wait for it; the app's own unless it is given.

        Raises:
            BrokerUnreachable: it could not be made.
        """
        if connect_timeout is not None:
            connect_timeout = seconds("connect_timeout", connect_timeout)
        return Connection(self.publisher.settings, connect_timeout)

    def pipeline(
        self, connection: Connection | None = None, connect_timeout: float | None = None
    ) -> Pipeline:
        """`with app.pipeline():` sends what its block sends without waiting for each confirm.

        At the end of the block, all of them are confirmed, or `NotAllSent` says which are not.

        Args:
            connection: what to send on, instead of a connection of the app's pool.
            connect_timeout: seconds to wait for a connection, if there is none yet.
        """
        source, connect_timeout = self._sender.source(connection, connect_timeout)
        return Pipeline(self.publisher, source, connect_timeout=connect_timeout)

    def close(self) -> None:
        """Close the connections, and delete the reply queue. A later send opens them again."""
        _close(self.results, self.publisher)

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connections and results alone, and start afresh."""
        self.publisher.after_fork()
        self.results.after_fork()


_apps: weakref.WeakSet[App] = weakref.WeakSet()


def establish_connection(connect_timeout: float | None = None) -> Connection:
    """A connection to the broker of the one app that this process has.

    Args:
        connect_timeout: seconds to wait for it; the app's own unless it is given.

    Raises:
        InvalidOption: there is no app, or more than one.
        BrokerUnreachable: it could not be made.
    """
    apps = list(_apps)
    if len(apps) != 1:
        found = "several apps" if apps else "no app"
        raise InvalidOption(
            f"this process has {found}, so it is not clear which broker is meant; say"
            " `app.establish_connection()`"
        )
    return apps[0].establish_connection(connect_timeout)


def _close(results: Results, publisher: Publisher) -> None:
    results.close()
    publisher.close()


def _after_fork() -> None:
    for app in list(_apps):
        app.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
