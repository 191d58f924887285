"""Sending what a task's message wants done after it, along today's routes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from routewright.runtime.api.any_task import AnyTask
from routewright.runtime.api.app import App
from routewright.runtime.errors import InvalidOption, NotAllSent, SequelNotSent
from routewright.runtime.messages.amqp_values import from_amqp, short_string
from routewright.runtime.messages.exceptions import decode_exception
from routewright.runtime.messages.message import PROTOCOL_HEADERS, Message, running
from routewright.runtime.messages.outcome import FAILURE, SUCCESS, Outcome
from routewright.runtime.messages.sequels import Sequel, Signature, plan, unreached
from routewright.runtime.messages.short_repr import in_line
from routewright.runtime.router.rerouting import route_of
from routewright.runtime.sending.delaying import due_at
from routewright.runtime.sending.options import After, Call, Options, choose
from routewright.runtime.sending.resending import Resender

_PASSED_ON = ("exchange", "routing_key", "queue", "serializer", "mandatory", "ignore_result")

logger = logging.getLogger("routewright.worker")


def follow(app: App, message: Message, outcome: Outcome) -> SequelNotSent | None:
    """Send what follows a task, before its message is acknowledged.

    After a success these are its callbacks and the next of its chain; all of them are looked up
    before the first leaves. If they cannot be sent, the task has failed. After a failure these are
    its errbacks, and whoever waits for a later task of the chain gets the same outcome.

    Args:
        app: whose routes and connections to use.
        message: the task's.
        outcome: what became of it.

    Returns:
        Why what follows a success could not be sent; what follows this failure has been.
    """
    token = running.set(message)  # whose children they are
    try:
        unsent = None
        if outcome.status == SUCCESS:
            unsent = _after_success(app, message, outcome.result)
        if unsent is not None:
            outcome = Outcome.error(message.id, unsent)
        if outcome.status != SUCCESS:
            _tell_the_rest(app, message, outcome)
        if outcome.status == FAILURE:
            for errback in message.sequels.errbacks:
                _call_back(app, message, errback, outcome)
    finally:
        running.reset(token)
    return unsent


def _after_success(app: App, message: Message, value: object) -> SequelNotSent | None:
    try:
        _send(app, list(_next(message, value)))
    except Exception as error:  # noqa: BLE001  a serializer may raise anything
        return SequelNotSent(
            f"task `{message.task}` is done, but what should follow it was not sent: {error}"
        )
    return None


def _next(message: Message, value: object) -> Iterator[Sequel]:
    for callback in message.sequels.callbacks:
        yield from plan(callback, value)
    if message.sequels.chain:
        *rest, following = message.sequels.chain
        yield from plan(following, value, rest=rest)


def _send(app: App, sequels: Iterable[Sequel]) -> None:
    calls = [(sequel, _call(app, sequel)) for sequel in sequels]
    for sequel, call in calls:
        route = app.router.resolve(sequel.task)
        choose(
            route_of(app.router, route, call.declared, call.options, sequel.kwargs),
            call.declared,
            call.options,
        )
    try:
        with app.pipeline():
            for sequel, call in calls:
                app.send(sequel.task, sequel.args, sequel.kwargs, call)
    except NotAllSent as error:
        raise error.failed[0].error from error


def _declared(app: App, name: str) -> Options:
    task = app.tasks.get(name)
    return Options() if task is None else task.declared()


def _call(app: App, sequel: Sequel) -> Call:
    """The options of a signature as a call of ours has them."""
    given = sequel.options
    eta = _time(given.get("eta"), "eta")
    countdown = given.get("countdown") if eta is None else None
    if isinstance(countdown, int | float):
        countdown = max(countdown, 0)
    priority = given.get("priority")
    if app.broker.is_amqp and type(priority) is int:  # Celery gives it as the broker takes it
        priority = from_amqp(priority)
    options = Options(
        **{name: given.get(name) for name in _PASSED_ON},
        priority=priority,
        headers=_headers(given.get("headers")),
        expires=_time(given.get("expires"), "expires"),
    )
    return Call(
        given.get("task_id"),
        options=options,
        declared=_declared(app, sequel.task),
        due=due_at(countdown, eta),
        after=After(
            short_string(given.get("reply_to")),
            sequel.sequels,
            (_seconds(given.get("time_limit")), _seconds(given.get("soft_time_limit"))),
            sequel.group,
            sequel.group_index,
        ),
    )


def _seconds(given: object) -> float | None:
    if isinstance(given, int | float) and not isinstance(given, bool) and given > 0:
        return float(given)
    return None


def _headers(given: object) -> Mapping[str, Any] | None:
    if not isinstance(given, Mapping):
        return None
    return {name: value for name, value in given.items() if name not in PROTOCOL_HEADERS}


def _time(given: Any, name: str) -> Any:
    """A time as JSON has it, in UTC if it has no zone, as Celery takes it; all else as it is."""
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            raise InvalidOption(f"`{name}` of a signature is no time: {given[:80]!r}") from None
    if isinstance(given, datetime) and given.tzinfo is None:
        return given.replace(tzinfo=UTC)
    return given


def _tell_the_rest(app: App, message: Message, outcome: Outcome) -> None:
    """Give the outcome to who waits for a later task of the chain, which will not run."""
    for task, task_id, reply_to in unreached(message.sequels):
        theirs = Outcome(task_id, outcome.status, outcome.result, outcome.traceback).encode()
        try:
            if not app.results.keep(theirs) and reply_to is not None:
                Resender(app.router, app.publisher).send_outcome(reply_to, theirs)
        except Exception as error:  # noqa: BLE001  the others are to be told all the same
            logger.error("nobody is told that %s[%s] will not run: %s", task, task_id, error)  # noqa: TRY400


def _call_back(app: App, message: Message, errback: Signature, outcome: Outcome) -> None:
    """Call an errback: here, with the request, if its code is here and wants it, as Celery does.

    Otherwise it is a task, which gets the id of the one that failed.
    """
    try:
        task = app.tasks.get(errback["task"])
        args, kwargs = tuple(errback.get("args") or ()), errback.get("kwargs") or {}
        error = (message, decode_exception(outcome.result), outcome.traceback)
        if task is None or not _wants_request(task, args, kwargs):
            _send(app, plan(errback, message.id))
        else:
            task.execute((*error, *args), kwargs)
    except BaseException as error:  # noqa: BLE001  an errback's `sys.exit()` ends it alone
        logger.error(  # noqa: TRY400  its traceback says nothing of the task
            "%s[%s]: errback %s: %s", message.task, message.id, errback["task"], in_line(str(error))
        )


def _wants_request(task: AnyTask, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Returns True if a task takes request, exception and traceback, and not just an id."""
    takes = []
    for leading in ((None,), (None, None, None)):
        try:
            task.check((*leading, *args), kwargs)
        except TypeError:
            takes.append(False)
        else:
            takes.append(True)
    return takes == [False, True]
