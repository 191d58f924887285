"""What the runtime raises, under one base; each error says what happened and the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

SHOWN = 3  # tasks that the text of `NotAllSent` names


class RoutewrightError(Exception):
    """The base of everything the runtime raises on purpose."""


class OutdatedPackage(RoutewrightError):
    """A generated package was compiled by an earlier release, whose modules had other names."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"a generated package imports `{module}`, which this release of Routewright does not"
            " have: an earlier release compiled it. Run `routewright compile` again."
        )


class UnknownTask(RoutewrightError, LookupError):
    """A task name that the compiled topology does not declare."""

    def __init__(self, task: str, topology: str, known: tuple[str, ...]) -> None:
        super().__init__(f"topology `{topology}` declares no task `{task}`{near(task, known)}")
        self.task = task


class UnknownExchange(RoutewrightError, LookupError):
    """An exchange that the compiled topology does not declare."""

    def __init__(self, exchange: str, topology: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"topology `{topology}` declares no exchange `{exchange}`{near(exchange, known)}"
        )
        self.exchange = exchange


class UnknownQueue(RoutewrightError, LookupError):
    """A queue that the compiled topology does not declare."""

    def __init__(self, queue: str, topology: str, known: tuple[str, ...]) -> None:
        super().__init__(f"topology `{topology}` declares no queue `{queue}`{near(queue, known)}")
        self.queue = queue


class UnknownGroup(RoutewrightError, LookupError):
    """A worker group that the compiled topology does not declare."""

    def __init__(self, group: str, topology: str, known: tuple[str, ...]) -> None:
        super().__init__(
            f"topology `{topology}` declares no worker group `{group}`{near(group, known)}"
        )
        self.group = group


class DuplicateTask(RoutewrightError):
    """Two different tasks of one app share a name."""


class InvalidParameter(RoutewrightError, ValueError):
    """A keyword argument of a call cannot be the word of the routing key that it stands for."""


class InvalidOption(RoutewrightError, ValueError):
    """An option of an app, a task or a call has a value that it cannot have."""


class SendError(RoutewrightError):
    """A task was not sent, or nobody can tell whether it was; the message says which."""


class EncodeError(SendError):
    """The arguments or headers cannot be serialised; nothing was sent."""


class Unroutable(SendError):
    """The broker knows no queue for the task; nothing was queued."""


class NoConsumers(SendError):
    """An immediate task has no worker waiting for it; nothing was sent."""


class Nacked(SendError):
    """The broker refused responsibility for the message, as a full `reject-publish` queue does."""


class Refused(SendError):
    """The broker refused the publish itself: no permission, or a message that is too large."""


class ConfirmTimeout(SendError):
    """The broker did not confirm in time; the task may or may not have been queued."""


class BrokerBlocked(ConfirmTimeout):
    """The broker has stopped reading (memory or disk alarm) and confirmed nothing in time."""


class BrokerUnreachable(SendError):
    """No connection to the broker: none was made in time, or all of the pool were busy."""


class LoginRefused(BrokerUnreachable):
    """The broker was reached, and refuses the user, the password or the virtual host."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """One of many tasks that was not sent, or not surely: its place among them, and its error."""

    index: int
    task: str
    id: str | None
    error: Exception


class NotAllSent(ExceptionGroup[Exception], SendError):
    """Of many tasks, some were not sent; `failed` names each, and all others are confirmed.

    `results` has the results of a `TaskSet`, of those that were sent too.
    """

    failed: tuple[Unsent, ...] = ()
    results: Any = None

    @classmethod
    def of(cls, failed: Sequence[Unsent], count: int) -> NotAllSent:
        """The error that names the failed ones of so many tasks."""
        named = [f"#{it.index} `{it.task}` ({it.id})" for it in failed[:SHOWN]]
        more = f" and {len(failed) - SHOWN:,} more" if len(failed) > SHOWN else ""
        text = f"{len(failed):,} of {count:,} tasks were not sent: {', '.join(named)}{more}"
        self = cls(text, [it.error for it in failed])
        self.failed = tuple(failed)
        return self

    def derive(self, excs: Sequence[Exception]) -> ExceptionGroup[Exception]:  # type: ignore[override]
        """A part of it, as `except*` makes one."""
        return ExceptionGroup(self.message, excs)


class MissingQueue(RoutewrightError):
    """A queue that a worker group consumes does not exist on the broker."""


class MalformedMessage(RoutewrightError):
    """A message that is no task; carries what of it could be read, to answer the sender."""

    def __init__(
        self,
        problem: str,
        *,
        task: str | None = None,
        task_id: str | None = None,
        reply_to: str | None = None,
    ) -> None:
        super().__init__(problem)
        self.task = task
        self.task_id = task_id
        self.reply_to = reply_to


class UnsupportedSequel(RoutewrightError):
    """What a message wants done after its task cannot be read, or is not supported."""


class SequelNotSent(SendError):
    """A task is done, and what should follow it could not be sent."""


class NotRegistered(RoutewrightError):
    """The worker that got the task has no code for it."""


class TaskFailed(RoutewrightError):
    """A task raised an exception whose type cannot be rebuilt here."""

    def __init__(self, exc_type: str, text: str) -> None:
        super().__init__(exc_type, text)
        self.exc_type = exc_type

    def __str__(self) -> str:
        exc_type, text = self.args
        return f"{exc_type}: {text}" if text else f"{exc_type}"


class Retry(RoutewrightError):
    """Ends a running task that is to be tried again; what `self.retry()` raises."""

    def __init__(
        self, due: datetime | None, cause: BaseException | None, max_retries: int | None
    ) -> None:
        super().__init__(str(cause) if cause is not None else "the task asks to be tried again")
        self.due = due
        self.cause = cause
        self.max_retries = max_retries


class SoftTimeLimitExceeded(RoutewrightError):
    """Raised within a task that runs for longer than its soft time limit."""


class TimeLimitExceeded(RoutewrightError):
    """A task ran for longer than its time limit, and was given up."""


class WorkerLost(RoutewrightError):
    """The processes that ran a task died, time and again."""


class TaskRevoked(RoutewrightError):
    """The task was not run: it expired before a worker came to it."""


class ResultTimeout(RoutewrightError, TimeoutError):
    """The result did not arrive in time; the task may still be running."""


class NoResult(RoutewrightError):
    """The result will never arrive here: it was ignored, or goes to another process."""


class StoreUnreachable(RoutewrightError):
    """The store of the results cannot be reached, or refuses us."""


class WorkerUsageError(RoutewrightError):
    """`routewright worker` was given something it cannot run."""


def near(name: str, known: tuple[str, ...]) -> str:
    """`; did you mean ...?` where a known name is close, or nothing."""
    close = get_close_matches(name, known, 1)
    return f"; did you mean `{close[0]}`?" if close else ""
