"""Verdicts: what becomes of a message, and what the broker is told of it for that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeAlias

from routewright.runtime.errors import MalformedMessage, Retry, TimeLimitExceeded, WorkerLost
from routewright.runtime.messages.message import Envelope, Message
from routewright.runtime.messages.short_repr import short_repr
from routewright.runtime.sending.retrying import Retrier
from routewright.runtime.transport.consumer import Delivery

MOST_CRASHES = 3  # after which a message is given up


@dataclass(slots=True)
class Succeeded:
    """The task returned a value, after so many seconds. Not frozen, as `Settlement` is not."""

    value: Any
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The task raised, and does not run again."""

    error: BaseException
    traceback: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The task raised, and is to run again at a time."""

    error: BaseException
    traceback: str
    due: datetime


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The task still runs after its time limit, and nobody waits for it any longer."""

    error: TimeLimitExceeded


@dataclass(frozen=True, slots=True)
class PutOff:
    """The message came before it was due."""

    due: datetime


@dataclass(frozen=True, slots=True)
class Expired:
    """The message came too late."""

    at: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The message is parked, or rejected where its queue does not park."""

    error: BaseException
    task_id: str | None = None  # None where the message could not be read so far
    reply_to: str | None = None
    traceback: str | None = None
    reason: str | None = None  # as it is parked, if not the error's own text
    last_try: Failed | None = None  # of a task whose retries are used up


Verdict: TypeAlias = Succeeded | Failed | TryAgain | TimedOut | PutOff | Expired | GiveUp


def give_up(message: Message, error: BaseException, traceback: str | None = None) -> GiveUp:
    """Returns the verdict on a message that could be read, and is not to be tried again."""
    return GiveUp(error, message.id, message.reply_to, traceback)


def unreadable(error: BaseException) -> GiveUp:
    """Returns the verdict on a message that could not be decoded."""
    if isinstance(error, MalformedMessage):
        return GiveUp(error, error.task_id, error.reply_to)
    return GiveUp(error)


def untimely(message: Message) -> PutOff | Expired | None:
    """Returns the verdict on a message that is not due yet or has expired."""
    if message.eta is None and message.expires is None:
        return None
    now = datetime.now(UTC)
    if message.eta is not None and message.eta > now:
        return PutOff(message.eta)
    if message.expires is not None and message.expires <= now:
        return Expired(message.expires)
    return None


def deadly(message: Message, crashes: int) -> GiveUp | None:
    """Returns the verdict on a message whose task was running as processes died, so many times."""
    if crashes < MOST_CRASHES:
        return None
    return give_up(message, WorkerLost(f"{crashes} times a process died with the task running"))


def after_failure(retrier: Retrier, message: Message, failed: Failed) -> Failed | TryAgain | GiveUp:
    """Returns the verdict on a task that raised: tried again, given up after retries, or failed."""
    error = failed.error
    due = retrier.due(message, error)
    if due is not None:
        return TryAgain(error, failed.traceback, due)
    cause = cause_of(error)
    last = Failed(cause, failed.traceback, failed.seconds)
    if not retrier.is_meant(message, error):
        return last
    reason = f"given up after {message.retries} retries: {short_repr(cause, 200)}"
    return GiveUp(cause, message.id, message.reply_to, failed.traceback, reason, last)


def cause_of(error: BaseException) -> BaseException:
    """Returns what a task raised, or what it asked to be tried again for."""
    return (error.cause or error) if isinstance(error, Retry) else error


class Disposition(Enum):
    """The answer to the broker about a message."""

    ACK = "it is done with"
    REJECT = "it is refused for good, and so dead-lettered where its queue says so"
    HOLD = "nothing: it is looked at again later"
    ACKED_EARLY = "nothing: it was acknowledged before its task began"
    NOT_BEGUN = "nothing: its connection was lost before its task began"


@dataclass(slots=True)
class Settlement:
    """The disposition of a delivery, and perhaps a reply that is sent before it.

    Nobody changes one. It is not frozen, for that makes each cost a microsecond more.
    """

    delivery: Delivery
    disposition: Disposition
    reply_to: str | None = None
    reply: Envelope | None = None
    until: datetime | None = None  # of a message that is held
    ends: bool = True  # False: its task goes on
    final: bool = False  # its task ran, and a copy of the message must not run
