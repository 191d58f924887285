"""The application: binds a compiled router to a broker, and knows the tasks."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar, Unpack, cast, overload

from routewright.runtime.api.any_task import AnyTask, SendOptions
from routewright.runtime.api.task_function import BindingDecorator, Decorator, FunctionTask, task
from routewright.runtime.errors import DuplicateTask, InvalidOption
from routewright.runtime.messages.events import task_sent
from routewright.runtime.messages.message import Envelope, Message, new_id, running
from routewright.runtime.parking.parking import Parking
from routewright.runtime.results.async_result import AsyncResult
from routewright.runtime.results.stores import RPC, Results, results_at
from routewright.runtime.router.route import Route, Router
from routewright.runtime.sending import delaying as later
from routewright.runtime.sending.connection import Connection
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.options import (
    CALL_ONLY,
    After,
    Call,
    Options,
    choose,
    read_options,
)
from routewright.runtime.sending.pipeline import Pipeline, pipeline_of
from routewright.runtime.sending.publisher import Publisher, deliver
from routewright.runtime.sending.rerouting import route_of
from routewright.runtime.sending.stream import Source
from routewright.runtime.transport.broker import Broker, seconds
from routewright.runtime.transport.envelopes import check_headers

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
        self._publisher = Publisher(
            self.broker,
            limit=pool_limit,
            confirm_timeout=seconds("confirm_timeout", confirm_timeout),
            events=router.events,
        )
        self.parking = Parking(router, self.broker, self._publisher)
        way = results or os.environ.get("ROUTEWRIGHT_RESULTS") or RPC
        self.results: Results = results_at(way, self.broker)
        # Runs when the app is collected, and before the process ends.
        weakref.finalize(self, _close, self.results, self._publisher)
        _apps.add(self)

    def __repr__(self) -> str:
        return f"<App of topology `{self.router.topology}` at {self.broker.name}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        *,
        task_id: str | None = None,
        connection: Connection | None = None,
        connect_timeout: float | None = None,
        countdown: float | None = None,
        eta: datetime | None = None,
        **options: Unpack[SendOptions],
    ) -> AsyncResult[Any]:
        """Send a task by its name alone, for a sender that has not its code."""
        called = read_options("send_task", options, *CALL_ONLY)
        call = Call(task_id, connection, connect_timeout, called, later.due(countdown, eta))
        return self.send(name, args, kwargs or {}, declared=Options(), call=call)

    def send(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        declared: Options,
        call: Call,
    ) -> AsyncResult[Any]:
        """Send one task along its route; what `apply_async` does.

        Raises:
            UnknownTask, UnknownExchange, UnknownQueue: the topology declares no such thing.
            InvalidParameter: the routing key has a placeholder that the call does not fill.
            InvalidOption, SendError: as of `Task.apply_async`.
        """
        route = route_of(self.router, self.router.resolve(name), declared, call.options, kwargs)
        options = choose(route, declared, call.options)
        if options.headers:
            check_headers(dict(options.headers))
        if call.due is not None:  # before any network, where it cannot be
            later.postponed(self.router, self.broker, route, call.due)
        source, patience = self._source(call)
        parent = running.get()
        message = Message(
            task=name,
            id=call.task_id if call.task_id is not None else new_id(),
            args=tuple(args),
            kwargs=kwargs,
            expires=options.expires,
            eta=call.due,
            root_id=None if parent is None else parent.root_id or parent.id,
            parent_id=None if parent is None else parent.id,
            ignore_result=options.ignore_result,
            timelimit=(route.time_limit, route.soft_time_limit),
            headers=options.headers,
        )
        if call.after is not None:
            message = _following(message, call.after)
        # Before any network: what cannot be encoded must leave no trace.
        envelope = message.encode(options.serializer, options.priority)
        result: AsyncResult[Any]
        if options.ignore_result:
            result = AsyncResult.without(message.id, name, "the task ignores its result")
        elif call.after is not None:
            result = AsyncResult.without(message.id, name, "it goes to who asked for it")
        else:
            queue = self.results.reply_to(patience)
            if queue is not None:
                envelope = envelope.answered_to(queue)
            result = AsyncResult(message.id, name, self.results)
            self.results.expect(result)
        event = task_sent(envelope, route) if self.router.events else None
        if call.due is not None:  # connecting took time, which counts
            route = later.postponed(self.router, self.broker, route, call.due)
        dispatch = Dispatch(route, envelope, options.mandatory, options.immediate, event)
        pipeline = pipeline_of(self._publisher) if call.connection is None else None
        if pipeline is None:
            deliver(source, dispatch, patience)
        else:
            pipeline.send(dispatch, result)
        return result

    def AsyncResult(self, task_id: str) -> AsyncResult[Any]:  # noqa: N802  as Celery's users know it
        """The result of a task by its id, from any process where results are kept in Redis.

        A task that is not known there is PENDING, as one that has not run yet.

        Raises:
            NoResult: results go by rpc, and this app holds none of that id.
        """
        return self.results.look_up(task_id)

    def put_off(self, task: str, queue: str, envelope: Envelope, due: datetime) -> None:
        """Send a message that came to a queue too early there again, to arrive when it is due.

        Raises:
            InvalidOption: the topology delays no task.
            SendError: the message was not sent, or not surely.
        """
        route = later.put_off(self.router, self.broker, task, queue, due)
        deliver(self._publisher, Dispatch(route, later.anew(envelope)))

    def send_again(
        self, task: str, queue: str, envelope: Envelope, kwargs: Mapping[str, Any], due: datetime
    ) -> None:
        """Send a message that came from a queue along its task's route of today.

        A task that runs in several queues comes back to this one alone.

        Raises:
            UnknownTask: the topology of today declares it no more.
            InvalidParameter: the key of today wants what the message does not say.
            InvalidOption: the topology delays no task, or none for so long.
            SendError: the message was not sent, or not surely.
        """
        route = self.router.resolve(task)
        route = Route(task, "", queue, (queue,)) if route.multicast else route.filled(kwargs)
        route = later.postponed(self.router, self.broker, route, due)
        deliver(self._publisher, Dispatch(route, envelope))

    def tell(self, reply_to: str, outcome: Envelope) -> None:
        """Send the outcome of a task to the queue of one who waits for it.

        Raises:
            SendError: it was not sent, or not surely.
        """
        route = Route("a result", "", reply_to, (reply_to,))
        deliver(self._publisher, Dispatch(route, outcome, mandatory=False))

    def _source(self, call: Call) -> tuple[Source, float | None]:
        """What a call is sent by, and how long it may wait for a connection."""
        patience = call.connect_timeout
        if patience is not None:
            patience = seconds("connect_timeout", patience)
        if call.connection is None:
            return self._publisher, patience
        if not isinstance(call.connection, Connection) or call.connection.broker != self.broker:
            raise InvalidOption(
                "connection is what `establish_connection()` of the same app returns, not"
                f" {call.connection!r}"
            )
        return call.connection, patience

    def establish_connection(self, connect_timeout: float | None = None) -> Connection:
        """A connection of one's own, for `apply_async(..., connection=...)`.

        Args:
            connect_timeout: seconds to wait for it; the app's own unless it is given.

        Raises:
            BrokerUnreachable: it could not be made.
        """
        if connect_timeout is not None:
            connect_timeout = seconds("connect_timeout", connect_timeout)
        return Connection(
            self.broker,
            connect_timeout=connect_timeout,
            confirm_timeout=self._publisher.confirm_timeout,
            events=self.router.events,
        )

    def pipeline(
        self, connection: Connection | None = None, connect_timeout: float | None = None
    ) -> Pipeline:
        """`with app.pipeline():` sends what its block sends without waiting for each confirm.

        At the end of the block, all of them are confirmed, or `NotAllSent` says which are not.

        Args:
            connection: what to send on, instead of a connection of the app's pool.
            connect_timeout: seconds to wait for a connection, if there is none yet.
        """
        source, patience = self._source(Call(None, connection, connect_timeout))
        return Pipeline(self._publisher, source, connect_timeout=patience)

    def close(self) -> None:
        """Close the connections, and delete the reply queue. A later send opens them again."""
        _close(self.results, self._publisher)

    def after_fork(self) -> None:
        """In a forked child: leave the parent's connections and results alone, and start afresh."""
        self._publisher.after_fork()
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


def _following(message: Message, after: After) -> Message:
    """A message that is sent because another task is done."""
    (hard, soft), (routed_hard, routed_soft) = after.timelimit, message.timelimit
    return replace(
        message,
        timelimit=(
            routed_hard if hard is None else hard,
            routed_soft if soft is None else soft,
        ),
        reply_to=None if message.ignore_result else after.reply_to,
        sequels=after.sequels,
        group=after.group,
        group_index=after.group_index,
    )


def _close(results: Results, publisher: Publisher) -> None:
    results.close()
    publisher.close()


def _after_fork() -> None:
    for app in list(_apps):
        app.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
