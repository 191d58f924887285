"""Running one message: read it, find its task, run that, and say what to tell whom."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TypeAlias

from routewright.runtime import functions
from routewright.runtime import tasks as classes
from routewright.runtime.brief import brief, in_line
from routewright.runtime.consumer import Delivery
from routewright.runtime.errors import (
    EncodeError,
    MalformedMessage,
    NotRegistered,
    RoutewrightError,
    TaskRevoked,
)
from routewright.runtime.message import Envelope, Message, running
from routewright.runtime.outcome import REVOKED, SUCCESS, Outcome
from routewright.runtime.sendable import AnyTask

logger = logging.getLogger("routewright.worker")


@dataclass(frozen=True, slots=True)
class Settlement:
    """What the worker owes for a delivery: perhaps a reply, and then its acknowledgement.

    A message that is not `accepted` is rejected for good, and so dead-lettered where its queue says
    so.
    """

    delivery: Delivery
    accepted: bool
    reply_to: str | None = None
    reply: Envelope | None = None
    held_until: datetime | None = None  # to be looked at again then, and settled no sooner


PutOff: TypeAlias = Callable[[Delivery, Message], Settlement]
"""What is done with a message that is not due yet."""


def perform(
    delivery: Delivery,
    tasks: Mapping[str, AnyTask],
    accept: Collection[str],
    put_off: PutOff,
) -> Settlement:
    """Run the task of a delivery; whatever it raises is its failure, and nobody else's."""
    try:
        message = Message.decode(delivery.envelope, accept)
    except MalformedMessage as error:
        return refuse(delivery, error, error.task_id, error.reply_to)
    except BaseException as error:  # noqa: BLE001  a pickle runs code, which may do anything
        return refuse(delivery, error, None, None)
    task = tasks.get(message.task)
    if task is None:
        unknown = NotRegistered(f"no task `{message.task}` in this worker")
        return refuse(delivery, unknown, message.id, message.reply_to)
    if message.eta is not None and message.eta > datetime.now(UTC):
        return put_off(delivery, message)
    started = monotonic()
    outcome, note = _outcome(task, message)
    reply = None
    if not message.ignore_result or outcome.status != SUCCESS:
        outcome, note, reply = _encoded(outcome, note)
    logger.info(
        "%s[%s] %s in %.3f s%s",
        message.task,
        message.id,
        outcome.status,
        monotonic() - started,
        note and f": {note}",
    )
    if message.ignore_result:
        reply = None
    return Settlement(delivery, True, message.reply_to, reply)


def _outcome(task: AnyTask, message: Message) -> tuple[Outcome, str]:
    """Run the task; its outcome, and a word on it for the log."""
    if message.expires is not None and message.expires <= datetime.now(UTC):
        reason = f"expired at {message.expires.isoformat()}"
        return Outcome.error(message.id, TaskRevoked(reason), status=REVOKED), reason
    token = running.set(message)
    try:
        value = task.execute(message.args, message.kwargs)
    except BaseException as error:  # noqa: BLE001  a task's `sys.exit()` ends the task alone
        text = _traceback(error)
        shown = "\n".join(f"  {in_line(line)}" for line in text.splitlines())
        logger.error("%s[%s] raised\n%s", message.task, message.id, shown)  # noqa: TRY400  without our frames
        return Outcome.error(message.id, error, text), brief(error, 200)
    finally:
        running.reset(token)
    return Outcome(message.id, SUCCESS, value), ""


def _encoded(outcome: Outcome, note: str) -> tuple[Outcome, str, Envelope]:
    try:
        return outcome, note, outcome.encode()
    except Exception as error:  # noqa: BLE001  the value's own code runs in here
        problem = (
            f"the task's value cannot be sent as JSON: {brief(error, 200)}; "
            f"it is a {type(outcome.result).__qualname__}, {brief(outcome.result, 100)}"
        )
        failure = Outcome.error(outcome.task_id, EncodeError(problem))
        return failure, problem, failure.encode()


def refuse(
    delivery: Delivery, error: BaseException, task_id: str | None, reply_to: str | None
) -> Settlement:
    """Reject a message, and tell the one who waits for its result."""
    problem = str(error) if isinstance(error, RoutewrightError) else brief(error, 200)
    logger.error("rejected a message of queue `%s`: %s", delivery.queue, in_line(problem))
    if task_id is None or reply_to is None:
        return Settlement(delivery, False)
    reply = Outcome.error(task_id, error).encode()
    return Settlement(delivery, False, reply_to, reply)


def _traceback(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001  an exception may fail to describe itself
        return f"{type(error).__qualname__} without a traceback"


_OURS = {__file__, functions.__file__, classes.__file__}
