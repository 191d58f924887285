"""Runs tasks within their time limits; whatever a task raises is its own failure."""

from __future__ import annotations

import traceback
from time import monotonic
from typing import Any, NamedTuple

from routewright.runtime.api import task_class as classes
from routewright.runtime.api import task_function as functions
from routewright.runtime.api.any_task import AnyTask
from routewright.runtime.errors import SoftTimeLimitExceeded, UnknownTask
from routewright.runtime.messages.message import Message, running
from routewright.runtime.results.progress import say_started
from routewright.runtime.router.route import Router
from routewright.runtime.transport.consumer import Delivery
from routewright.runtime.worker.limits import Limited, Limits
from routewright.runtime.worker.verdicts import Failed, Succeeded


class Terms(NamedTuple):
    """The terms that a task runs on, from its message and today's route."""

    early: bool  # acknowledge the message before the task begins
    soft: float | None  # seconds
    hard: float | None


def terms_of(router: Router[Any], message: Message) -> Terms:
    """Returns the terms that a message's task runs on; limits in the message come first."""
    hard, soft = message.timelimit
    try:
        route = router.resolve(message.task)
    except UnknownTask:
        return Terms(False, soft, hard)
    return Terms(
        route.early,
        route.soft_time_limit if soft is None else soft,
        route.time_limit if hard is None else hard,
    )


class Runner:
    """Runs tasks in the thread of the caller.

    Args:
        limits: watches how long they run.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def run(
        self, task: AnyTask, delivery: Delivery, message: Message, terms: Terms, thread: int
    ) -> Succeeded | Failed | None:
        """Runs the task of a message; None if it was given up at its hard limit meanwhile."""
        if terms.soft is None and terms.hard is None:
            return _execute(task, message)
        limited = self._limits.start(message, delivery, thread, terms.soft, terms.hard)
        ended = self._within(limited, task, message)
        return None if limited.given_up else ended

    def _within(self, limited: Limited, task: AnyTask, message: Message) -> Succeeded | Failed:
        """Runs a task whose soft limit may come just as it ends."""
        started = monotonic()
        ended: Succeeded | Failed | None = None
        try:
            ended = _execute(task, message)
            self._limits.stop(limited)
        except SoftTimeLimitExceeded as error:  # it is raised once
            self._limits.stop(limited)
            if ended is None:
                return _failed(error, started)
        return ended


def _execute(task: AnyTask, message: Message) -> Succeeded | Failed:
    started = monotonic()
    token = running.set(message)
    try:
        say_started()
        value = task.execute(message.args, message.kwargs)
    except BaseException as error:  # noqa: BLE001  a task's `sys.exit()` ends the task alone
        return _failed(error, started)
    finally:
        running.reset(token)
    return Succeeded(value, monotonic() - started)


def _failed(error: BaseException, started: float) -> Failed:
    return Failed(error, _traceback(error), monotonic() - started)


def _traceback(error: BaseException) -> str:
    """Returns the traceback of what a task raised, without our own frames before the task's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001  an exception may fail to describe itself
        return f"{type(error).__qualname__} without a traceback"


_OURS = {__file__, functions.__file__, classes.__file__}
