"""Running one message: read it, find its task, run that, and say what is owed for it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from routewright.runtime.api import task_class as classes
from routewright.runtime.api import task_function as functions
from routewright.runtime.api.any_task import AnyTask
from routewright.runtime.api.app import App
from routewright.runtime.errors import (
    EncodeError,
    InvalidOption,
    MalformedMessage,
    NotRegistered,
    Retry,
    RoutewrightError,
    SendError,
    SequelNotSent,
    SoftTimeLimitExceeded,
    TaskRevoked,
    UnknownTask,
    WorkerLost,
)
from routewright.runtime.messages.message import Envelope, Message, ignores_result, running
from routewright.runtime.messages.outcome import RETRY, REVOKED, SUCCESS, Outcome
from routewright.runtime.messages.short_repr import brief, in_line
from routewright.runtime.parking.parking import Parking
from routewright.runtime.results.progress import say_started
from routewright.runtime.sending.resending import Resender
from routewright.runtime.sending.retrying import HISTORY, Retrier, history
from routewright.runtime.transport.consumer import Delivery
from routewright.runtime.worker.announcer import Announcer
from routewright.runtime.worker.crash_counts import MOST_DEATHS, Post
from routewright.runtime.worker.follow_up import follow
from routewright.runtime.worker.limits import Limited, Limits
from routewright.runtime.worker.settlement import Settlement, Word

HOLD = timedelta(seconds=5)  # until a message is looked at again that could not be passed on

logger = logging.getLogger("routewright.worker")


@dataclass(frozen=True, slots=True)
class _Failure:
    """A task that raised, and the traceback of that."""

    error: BaseException
    traceback: str


class Performer:
    """Runs messages, in the thread of the caller; whatever a task raises is its own failure.

    Args:
        app: whose tasks to run, and who sends again what is to be retried or parked.
        accept: the content types that are read.
        acknowledge: tells the broker that a message is done with, before its task begins.
        limits: watches how long tasks run.
        post: is told what runs, in case the process dies of it.
        events: is told what becomes of each task.
    """

    def __init__(
        self,
        app: App,
        accept: Collection[str],
        *,
        acknowledge: Callable[[Delivery], None],
        limits: Limits,
        post: Post | None = None,
        events: Announcer | None = None,
    ) -> None:
        self._app = app
        self._accept = accept
        self._acknowledge = acknowledge
        self._limits = limits
        self._post = post
        self._events = events
        self._parking = Parking(app.router, app.broker, app.publisher)
        self._resender = Resender(app.router, app.publisher)
        self._retrier = Retrier(app.router, self._resender)

    def perform(self, delivery: Delivery, thread: int) -> Settlement | None:
        """Run the task of a delivery; None if it was given up meanwhile, and all is said."""
        message = self._decoded(delivery)
        if isinstance(message, Settlement):
            return message
        task = self._app.tasks.get(message.task)
        if task is None:
            unknown = NotRegistered(f"no task `{message.task}` in this worker")
            return self._give_up(delivery, message, unknown)
        untimely = self._untimely(delivery, message)
        if untimely is not None:
            return untimely
        deaths = self._deaths(delivery, message)
        if deaths >= MOST_DEATHS:
            lost = WorkerLost(f"{deaths} times a process died with the task running")
            return self._give_up(delivery, message, lost)
        return self._attend_watched(delivery, message, task, thread, alone=deaths > 0)

    def exhausted(self, delivery: Delivery, failed: int) -> Settlement:
        """Parks a message that the broker would drop after a few more deliveries.

        Args:
            delivery: of a quorum queue.
            failed: how often it was delivered before, and never acknowledged.
        """
        message = self._decoded(delivery)
        if isinstance(message, Settlement):
            return message
        reason = f"delivery-limit: delivered {failed + 1} times and never acknowledged"
        return self._give_up(delivery, message, WorkerLost(reason))

    def _decoded(self, delivery: Delivery) -> Message | Settlement:
        """The message of a delivery, or what is owed for one that cannot be read."""
        try:
            return Message.decode(delivery.envelope, self._accept)
        except MalformedMessage as error:
            return self._put_aside(delivery, error, error.task_id, error.reply_to)
        except BaseException as error:  # noqa: BLE001  a pickle runs code, which may do anything
            return self._put_aside(delivery, error, None, None)

    def _untimely(self, delivery: Delivery, message: Message) -> Settlement | None:
        """What becomes of a message that is not due yet, or has expired."""
        if message.eta is None and message.expires is None:
            return None
        now = datetime.now(UTC)
        if message.eta is not None and message.eta > now:
            return self._put_off(delivery, message, message.eta)
        if message.expires is not None and message.expires <= now:
            if self._events is not None:
                self._events.revoked(message.id)
            return self._revoked(delivery, message, message.expires)
        return None

    def _deaths(self, delivery: Delivery, message: Message) -> int:
        if self._post is None or not delivery.redelivered:
            return 0
        return self._post.count(message.id)

    def _attend_watched(
        self, delivery: Delivery, message: Message, task: AnyTask, thread: int, *, alone: bool
    ) -> Settlement | None:
        """Run a task, and let it be known that it runs, where somebody asks."""
        if self._post is None:
            return self._attend(delivery, message, task, thread)
        with self._post.holding(thread, message.id, alone=alone):
            return self._attend(delivery, message, task, thread)

    def _attend(
        self, delivery: Delivery, message: Message, task: AnyTask, thread: int
    ) -> Settlement | None:
        """Run a task within its limits, and see to what came of it."""
        early, soft, hard = self._terms(message)
        if early:
            self._acknowledge(delivery)
            delivery = replace(delivery, acknowledged=True)
        if self._events is not None:
            self._events.started(message.id)
        started = monotonic()
        if soft is None and hard is None:
            value = _run(task, message)
        else:
            limited = self._limits.start(message, delivery, thread, soft, hard)
            value = self._within(limited, task, message)
            if limited.given_up:
                return None
        if isinstance(value, _Failure):
            return self._failed(delivery, message, value, monotonic() - started)
        seconds = monotonic() - started
        outcome, note, reply = Outcome(message.id, SUCCESS, value), "", None
        if not message.ignore_result:
            outcome, note, reply = _encoded(outcome)
        unsent = self._follow(message, outcome)
        if unsent is not None:
            _log(message, "FAILURE", seconds, str(unsent))
            return self._put_aside(delivery, unsent, message.id, message.reply_to)
        _log(message, outcome.status, seconds, note)
        if self._events is not None:
            if outcome.status == SUCCESS:
                self._events.succeeded(message.id, value, seconds)
            else:
                self._events.failed(message.id, EncodeError(note), None)
        return _done(delivery, message.reply_to, None if message.ignore_result else reply)

    def _within(self, limited: Limited, task: AnyTask, message: Message) -> Any:
        """The value of a task, or a `_Failure`, though its soft limit comes just as it ends."""
        value: Any = None
        ended = False
        try:
            value = _run(task, message)
            ended = True
            self._limits.stop(limited)
        except SoftTimeLimitExceeded as error:  # it is raised once
            self._limits.stop(limited)
            if not ended:
                value = _Failure(error, _traceback(error))
        return value

    def _terms(self, message: Message) -> tuple[bool, float | None, float | None]:
        """Whether to acknowledge early, and the soft and the hard limit, in seconds."""
        hard, soft = message.timelimit
        try:
            route = self._app.router.resolve(message.task)
        except UnknownTask:
            return False, soft, hard
        return (
            route.early,
            route.soft_time_limit if soft is None else soft,
            route.time_limit if hard is None else hard,
        )

    def _failed(
        self, delivery: Delivery, message: Message, failure: _Failure, seconds: float
    ) -> Settlement:
        """Try a task again that raised, or say that it failed."""
        error = failure.error
        due = self._retrier.due(message, error)
        if due is not None:
            return self._again(delivery, message, failure, due)
        cause = error.cause or error if isinstance(error, Retry) else error
        _log_traceback(message, failure.traceback)
        _log(message, "FAILURE", seconds, brief(cause, 200))
        if self._retrier.is_meant(message, error):
            reason = f"given up after {message.retries} retries: {brief(cause, 200)}"
            return self._give_up(delivery, message, cause, failure.traceback, reason, spent=message)
        if self._events is not None:
            self._events.failed(message.id, cause, failure.traceback)
        outcome = Outcome.error(message.id, cause, failure.traceback)
        self._follow(message, outcome)
        reply = outcome.encode()
        return _done(delivery, message.reply_to, None if message.ignore_result else reply)

    def _again(
        self, delivery: Delivery, message: Message, failure: _Failure, due: datetime
    ) -> Settlement:
        error = failure.error
        try:
            self._retrier.send(delivery, message, error, due)
        except SendError as problem:
            if not delivery.acknowledged:
                logger.error(  # noqa: TRY400  one line each
                    "%s[%s] cannot be sent again yet: %s", message.task, message.id, problem
                )
                return Settlement(delivery, Word.HOLD, until=datetime.now(UTC) + HOLD)
            return self._give_up(delivery, message, problem)
        except RoutewrightError as problem:  # the topology of today has no way for it
            return self._give_up(delivery, message, problem, failure.traceback)
        logger.info(
            "%s[%s] is tried again at %s: %s",
            message.task,
            message.id,
            due.isoformat(),
            brief(error, 200),
        )
        if self._events is not None:
            cause = error.cause or error if isinstance(error, Retry) else error
            self._events.retried(message.id, cause, failure.traceback)
        reply = Outcome.error(message.id, error, failure.traceback, status=RETRY).encode()
        return _done(delivery, message.reply_to, None if message.ignore_result else reply)

    def _put_off(self, delivery: Delivery, message: Message, due: datetime) -> Settlement:
        """Have a message that is not due come again; if that fails, look again after a while."""
        try:
            self._resender.postpone(message.task, delivery.queue, delivery.envelope, due)
        except InvalidOption as error:
            problem = MalformedMessage(f"header `eta` is {due.isoformat()}: {error}")
            return self._give_up(delivery, message, problem)
        except SendError as error:
            logger.error("%s[%s] is not due and stays here: %s", message.task, message.id, error)  # noqa: TRY400  one line each
            return Settlement(delivery, Word.HOLD, until=min(due, datetime.now(UTC) + HOLD))
        logger.info("%s[%s] is put off until %s", message.task, message.id, due.isoformat())
        return Settlement(delivery, Word.ACK)

    def _revoked(self, delivery: Delivery, message: Message, expired: datetime) -> Settlement:
        reason = f"expired at {expired.isoformat()}"
        _log(message, REVOKED, 0.0, reason)
        outcome = Outcome.error(message.id, TaskRevoked(reason), status=REVOKED)
        self._follow(message, outcome)
        return _done(
            delivery, message.reply_to, None if message.ignore_result else outcome.encode()
        )

    def _follow(self, message: Message, outcome: Outcome) -> SequelNotSent | None:
        """Send what the message wants done after its task, or say why that could not be."""
        return follow(self._app, message, outcome) if message.sequels else None

    def _give_up(
        self,
        delivery: Delivery,
        message: Message,
        error: BaseException,
        trace: str | None = None,
        reason: str | None = None,
        spent: Message | None = None,
    ) -> Settlement:
        """Put a message aside that could be read: what was to follow its task is told as well."""
        self._follow(message, Outcome.error(message.id, error, trace))
        return self._put_aside(delivery, error, message.id, message.reply_to, trace, reason, spent)

    def _put_aside(
        self,
        delivery: Delivery,
        error: BaseException,
        task_id: str | None,
        reply_to: str | None,
        trace: str | None = None,
        reason: str | None = None,
        spent: Message | None = None,
    ) -> Settlement:
        """Park a message that cannot be dealt with, and tell the one who waits for its result."""
        problem = str(error) if isinstance(error, RoutewrightError) else brief(error, 200)
        reply = None
        if task_id is not None and not ignores_result(delivery.envelope.headers):
            reply = Outcome.error(task_id, error, trace).encode()
        if not self._parking.takes(delivery.queue):
            logger.error("rejected a message of queue `%s`: %s", delivery.queue, in_line(problem))
            if self._events is not None and task_id is not None:
                if spent is None:
                    self._events.rejected(task_id)
                else:
                    self._events.failed(task_id, error, trace)
            word = Word.SAID if delivery.acknowledged else Word.REJECT
            return Settlement(delivery, word, reply_to, reply)
        told = delivery
        if spent is not None:
            headers = {
                **delivery.envelope.headers,
                HISTORY: history(delivery.envelope.headers, error),
            }
            told = replace(delivery, envelope=replace(delivery.envelope, headers=headers))
        try:
            self._parking.park(told, reason or problem, trace)
        except SendError as trouble:
            logger.error(  # noqa: TRY400  one line each
                "a message of queue `%s` cannot be parked yet: %s", delivery.queue, trouble
            )
            if not delivery.acknowledged:
                return Settlement(delivery, Word.HOLD, until=datetime.now(UTC) + HOLD)
        else:
            logger.error("parked a message of queue `%s`: %s", delivery.queue, in_line(problem))
        if self._events is not None and task_id is not None:
            self._events.failed(task_id, error, trace)
        return _done(delivery, reply_to, reply, final=False)


def given_up(delivery: Delivery, message: Message, error: BaseException) -> Settlement:
    """What is owed for a task that ran for too long."""
    _log(message, "FAILURE", 0.0, str(error))
    reply = Outcome.error(message.id, error).encode()
    return _done(delivery, message.reply_to, None if message.ignore_result else reply)


def _done(
    delivery: Delivery, reply_to: str | None, reply: Envelope | None, *, final: bool = True
) -> Settlement:
    word = Word.SAID if delivery.acknowledged else Word.ACK
    return Settlement(delivery, word, reply_to, reply, final=final)


def _run(task: AnyTask, message: Message) -> Any:
    """The value of a task, or a `_Failure`."""
    token = running.set(message)
    try:
        say_started()
        return task.execute(message.args, message.kwargs)
    except BaseException as error:  # noqa: BLE001  a task's `sys.exit()` ends the task alone
        return _Failure(error, _traceback(error))
    finally:
        running.reset(token)


def _encoded(outcome: Outcome) -> tuple[Outcome, str, Envelope]:
    try:
        return outcome, "", outcome.encode()
    except Exception as error:  # noqa: BLE001  the value's own code runs in here
        problem = (
            f"the task's value cannot be sent as JSON: {brief(error, 200)}; "
            f"it is a {type(outcome.result).__qualname__}, {brief(outcome.result, 100)}"
        )
        failure = Outcome.error(outcome.task_id, EncodeError(problem))
        return failure, problem, failure.encode()


def _log(message: Message, status: str, seconds: float, note: str) -> None:
    logger.info(
        "%s[%s] %s in %.3f s%s",
        message.task,
        message.id,
        status,
        seconds,
        note and f": {note}",
    )


def _log_traceback(message: Message, text: str | None) -> None:
    shown = "\n".join(f"  {in_line(line)}" for line in (text or "").splitlines())
    logger.error("%s[%s] raised\n%s", message.task, message.id, shown)


def _traceback(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001  an exception may fail to describe itself
        return f"{type(error).__qualname__} without a traceback"


_OURS = {__file__, functions.__file__, classes.__file__}
