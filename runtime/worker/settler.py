"""Acts on verdicts: sends a message again, parks it, follows up its task and writes the reply."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import assert_never

from routewright.runtime.api.app import App
from routewright.runtime.errors import (
    EncodeError,
    InvalidOption,
    MalformedMessage,
    RoutewrightError,
    SendError,
    SequelNotSent,
    TaskRevoked,
)
from routewright.runtime.messages.message import Envelope, Message, ignores_result
from routewright.runtime.messages.outcome import RETRY, REVOKED, SUCCESS, Outcome
from routewright.runtime.messages.short_repr import in_line, short_repr
from routewright.runtime.parking.parking import Parking
from routewright.runtime.sending.resending import Resender
from routewright.runtime.sending.retrying import HISTORY, Retrier, history
from routewright.runtime.transport.consumer import Delivery
from routewright.runtime.worker.announcer import Announcer, NoEvents
from routewright.runtime.worker.follow_up import follow
from routewright.runtime.worker.verdicts import (
    Disposition,
    Expired,
    Failed,
    GiveUp,
    PutOff,
    Settlement,
    Succeeded,
    TimedOut,
    TryAgain,
    Verdict,
    cause_of,
    give_up,
)

LOOK_AGAIN = timedelta(seconds=5)  # until a message that could not be passed on is tried again

logger = logging.getLogger("routewright.worker")


class Settler:
    """Does what a verdict asks for, in the thread of the caller, which may wait for the network.

    Args:
        app: keeps results, and sends what follows a task.
        events: is told what becomes of each task.
        resender: sends what is put off.
        retrier: sends what is tried again.
    """

    def __init__(
        self, app: App, events: Announcer | NoEvents, resender: Resender, retrier: Retrier
    ) -> None:
        self._app = app
        self._events = events
        self._resender = resender
        self._retrier = retrier
        self._parking = Parking(app.router, app.broker, app.publisher)

    def settle(self, delivery: Delivery, message: Message, verdict: Verdict) -> Settlement:
        """Acts on a verdict. Returns what is then owed for the delivery."""
        match verdict:
            case Succeeded():
                settlement = self._succeed(delivery, message, verdict)
            case Failed():
                settlement = self._fail(delivery, message, verdict)
            case TryAgain():
                settlement = self._try_again(delivery, message, verdict)
            case TimedOut():
                settlement = self._time_out(delivery, message, verdict)
            case PutOff():
                settlement = self._put_off(delivery, message, verdict)
            case Expired():
                settlement = self._revoke(delivery, message, verdict)
            case GiveUp():
                settlement = self._give_up(delivery, message, verdict)
            case _:
                assert_never(verdict)
        return self._kept(settlement)

    def settle_unreadable(self, delivery: Delivery, verdict: GiveUp) -> Settlement:
        """Acts on the verdict on a message that could not be decoded."""
        return self._kept(self._put_aside(delivery, verdict))

    def _kept(self, settlement: Settlement) -> Settlement:
        """Stores the reply where results are stored. Returns what is then owed."""
        if settlement.reply is not None and self._app.results.keep(settlement.reply):
            return replace(settlement, reply=None)
        return settlement

    def _succeed(self, delivery: Delivery, message: Message, verdict: Succeeded) -> Settlement:
        outcome, note, reply = Outcome(message.id, SUCCESS, verdict.value), "", None
        if not message.ignore_result:
            outcome, note, reply = _encoded(outcome)
        unsent = self._follow(message, outcome)
        if unsent is not None:
            _log(message, "FAILURE", verdict.seconds, str(unsent))
            return self._put_aside(delivery, give_up(message, unsent))
        _log(message, outcome.status, verdict.seconds, note)
        if outcome.status == SUCCESS:
            self._events.succeeded(message.id, verdict.value, verdict.seconds)
        else:
            self._events.failed(message.id, EncodeError(note), None)
        return _done(delivery, message.reply_to, reply)

    def _fail(self, delivery: Delivery, message: Message, verdict: Failed) -> Settlement:
        _log_failure(message, verdict)
        return self._end(delivery, message, verdict.error, verdict.traceback)

    def _time_out(self, delivery: Delivery, message: Message, verdict: TimedOut) -> Settlement:
        _log(message, "FAILURE", 0.0, str(verdict.error))
        return self._end(delivery, message, verdict.error, None)

    def _end(
        self, delivery: Delivery, message: Message, error: BaseException, trace: str | None
    ) -> Settlement:
        """Tells everybody that a task has failed, for good."""
        self._events.failed(message.id, error, trace)
        outcome = Outcome.error(message.id, error, trace)
        self._follow(message, outcome)
        return _done(delivery, message.reply_to, _reply(message, outcome))

    def _try_again(self, delivery: Delivery, message: Message, verdict: TryAgain) -> Settlement:
        error, trace = verdict.error, verdict.traceback
        try:
            self._retrier.send(delivery, message, error, verdict.due)
        except SendError as problem:
            if delivery.acknowledged:
                return self._give_up(delivery, message, give_up(message, problem))
            logger.error(  # noqa: TRY400  one line each
                "%s[%s] cannot be sent again yet: %s", message.task, message.id, problem
            )
            return _held(delivery, datetime.now(UTC) + LOOK_AGAIN)
        except RoutewrightError as problem:  # the topology of today has no way for it
            return self._give_up(delivery, message, give_up(message, problem, trace))
        logger.info(
            "%s[%s] is tried again at %s: %s",
            message.task,
            message.id,
            verdict.due.isoformat(),
            short_repr(error, 200),
        )
        self._events.retried(message.id, cause_of(error), trace)
        outcome = Outcome.error(message.id, error, trace, status=RETRY)
        return _done(delivery, message.reply_to, _reply(message, outcome))

    def _put_off(self, delivery: Delivery, message: Message, verdict: PutOff) -> Settlement:
        """Has a message that is not due come again; if that fails, looks again after a while."""
        due = verdict.due
        try:
            self._resender.postpone(message.task, delivery.queue, delivery.envelope, due)
        except InvalidOption as error:
            problem = MalformedMessage(f"header `eta` is {due.isoformat()}: {error}")
            return self._give_up(delivery, message, give_up(message, problem))
        except SendError as error:
            logger.error("%s[%s] is not due and stays here: %s", message.task, message.id, error)  # noqa: TRY400  one line each
            return _held(delivery, min(due, datetime.now(UTC) + LOOK_AGAIN))
        logger.info("%s[%s] is put off until %s", message.task, message.id, due.isoformat())
        return Settlement(delivery, Disposition.ACK)

    def _revoke(self, delivery: Delivery, message: Message, verdict: Expired) -> Settlement:
        self._events.revoked(message.id)
        reason = f"expired at {verdict.at.isoformat()}"
        _log(message, REVOKED, 0.0, reason)
        outcome = Outcome.error(message.id, TaskRevoked(reason), status=REVOKED)
        self._follow(message, outcome)
        return _done(delivery, message.reply_to, _reply(message, outcome))

    def _give_up(self, delivery: Delivery, message: Message, verdict: GiveUp) -> Settlement:
        """Puts a message aside that could be read: what was to follow its task is told as well."""
        if verdict.last_try is not None:
            _log_failure(message, verdict.last_try)
        self._follow(message, Outcome.error(message.id, verdict.error, verdict.traceback))
        return self._put_aside(delivery, verdict)

    def _follow(self, message: Message, outcome: Outcome) -> SequelNotSent | None:
        """Sends what is to be done after a task. Returns why that could not be."""
        return follow(self._app, message, outcome) if message.sequels else None

    def _put_aside(self, delivery: Delivery, verdict: GiveUp) -> Settlement:
        """Parks a message, or rejects it where its queue does not park, and tells its sender."""
        error, task_id, trace = verdict.error, verdict.task_id, verdict.traceback
        problem = str(error) if isinstance(error, RoutewrightError) else short_repr(error, 200)
        reply = None
        if task_id is not None and not ignores_result(delivery.envelope.headers):
            reply = Outcome.error(task_id, error, trace).encode()
        if not self._parking.takes(delivery.queue):
            logger.error("rejected a message of queue `%s`: %s", delivery.queue, in_line(problem))
            if task_id is not None and verdict.last_try is None:
                self._events.rejected(task_id)
            elif task_id is not None:
                self._events.failed(task_id, error, trace)
            return _settlement(delivery, Disposition.REJECT, verdict.reply_to, reply)
        try:
            self._parking.park(_as_parked(delivery, verdict), verdict.reason or problem, trace)
        except SendError as trouble:
            logger.error(  # noqa: TRY400  one line each
                "a message of queue `%s` cannot be parked yet: %s", delivery.queue, trouble
            )
            if not delivery.acknowledged:
                return _held(delivery, datetime.now(UTC) + LOOK_AGAIN)
        else:
            logger.error("parked a message of queue `%s`: %s", delivery.queue, in_line(problem))
        if task_id is not None:
            self._events.failed(task_id, error, trace)
        return _settlement(delivery, Disposition.ACK, verdict.reply_to, reply)


def _as_parked(delivery: Delivery, verdict: GiveUp) -> Delivery:
    """Returns the delivery with its last try in its history, if it was given up after retries."""
    if verdict.last_try is None:
        return delivery
    headers = delivery.envelope.headers
    headers = {**headers, HISTORY: history(headers, verdict.error)}
    return replace(delivery, envelope=replace(delivery.envelope, headers=headers))


def _held(delivery: Delivery, until: datetime) -> Settlement:
    return Settlement(delivery, Disposition.HOLD, until=until)


def _done(delivery: Delivery, reply_to: str | None, reply: Envelope | None) -> Settlement:
    """Returns the settlement of a message whose task has ended, and must not run again."""
    return _settlement(delivery, Disposition.ACK, reply_to, reply, final=True)


def _settlement(
    delivery: Delivery,
    disposition: Disposition,
    reply_to: str | None,
    reply: Envelope | None,
    *,
    final: bool = False,
) -> Settlement:
    if delivery.acknowledged:
        disposition = Disposition.ACKED_EARLY
    return Settlement(delivery, disposition, reply_to, reply, final=final)


def _reply(message: Message, outcome: Outcome) -> Envelope | None:
    return None if message.ignore_result else outcome.encode()


def _encoded(outcome: Outcome) -> tuple[Outcome, str, Envelope]:
    """Returns an outcome, a problem and the reply: a value that is no JSON makes it a failure."""
    try:
        return outcome, "", outcome.encode()
    except Exception as error:  # noqa: BLE001  the value's own code runs in here
        problem = (
            f"the task's value cannot be sent as JSON: {short_repr(error, 200)}; "
            f"it is a {type(outcome.result).__qualname__}, {short_repr(outcome.result, 100)}"
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


def _log_failure(message: Message, failed: Failed) -> None:
    shown = "\n".join(f"  {in_line(line)}" for line in failed.traceback.splitlines())
    logger.error("%s[%s] raised\n%s", message.task, message.id, shown)
    _log(message, "FAILURE", failed.seconds, short_repr(failed.error, 200))
