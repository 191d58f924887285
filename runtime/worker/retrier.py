"""Trying a task again: who decides it, and how the message is sent once more."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, Protocol

from routewright.runtime.errors import InvalidOption, Retry, UnknownTask
from routewright.runtime.messages.message import Envelope, Message, running
from routewright.runtime.messages.short_repr import brief
from routewright.runtime.router.retry_policy import RetryPolicy
from routewright.runtime.router.route import Router
from routewright.runtime.sending import delaying as later
from routewright.runtime.transport.consumer import Delivery

HISTORY = "routewright-history"  # the header that says when and why a task was tried again
MOST_HISTORY = 20  # tries; the last ones are kept


class Resender(Protocol):
    """What trying again needs of an app."""

    @property
    def router(self) -> Router[Any]:
        """The compiled routing."""
        ...

    def send_again(
        self, task: str, queue: str, envelope: Envelope, kwargs: Mapping[str, Any], due: datetime
    ) -> None:
        """Send a message that came from a queue along its task's route of today."""


def retry(
    *,
    countdown: float | None = None,
    eta: datetime | None = None,
    exc: BaseException | None = None,
    max_retries: int | None = None,
) -> NoReturn:
    """End the running task, to be tried again; what `self.retry` does.

    Args:
        countdown: seconds from now; what the topology's `retry` says unless it or `eta` is given.
        eta: the time to try again at.
        exc: what the task's result is when no try is left; the exception being handled unless it is
            given.
        max_retries: how many retries there may be, if not what the topology says.

    Raises:
        Retry: always, in a worker.
        InvalidOption: no worker is running the task, or an option has a value it cannot have.
    """
    cause = exc if exc is not None else sys.exc_info()[1]
    due = later.due(countdown, eta)
    if running.get() is None:
        if cause is not None:
            raise cause
        raise InvalidOption("retry() is for a task that a worker runs")
    raise Retry(due, cause, max_retries) from cause


class Retrier:
    """Decides whether a task that raised is tried again, and sends it.

    Args:
        app: whose router says where to, and who sends.
    """

    def __init__(self, app: Resender) -> None:
        self._app = app

    def policy(self, task: str) -> RetryPolicy | None:
        """What the topology of today says of a task's retries."""
        try:
            return self._app.router.resolve(task).retry
        except UnknownTask:
            return None

    def due(self, message: Message, error: BaseException) -> datetime | None:
        """When a task that raised is to be tried again; None if it is not, or has no try left."""
        policy = self.policy(message.task)
        if isinstance(error, Retry):
            policy = policy or RetryPolicy()
            most = policy.max if error.max_retries is None else error.max_retries
        elif policy is not None and policy.covers(error):
            most = policy.max
        else:
            return None
        if message.retries >= most:
            return None
        wanted = error.due if isinstance(error, Retry) else None
        return wanted or datetime.now(UTC) + timedelta(seconds=policy.pause(message.retries))

    def is_meant(self, message: Message, error: BaseException) -> bool:
        """Whether a task that raised would be tried again if there were tries left."""
        policy = self.policy(message.task)
        return isinstance(error, Retry) or (policy is not None and policy.covers(error))

    def send(
        self, delivery: Delivery, message: Message, error: BaseException, due: datetime
    ) -> None:
        """Send a message once more, to arrive at a time.

        Raises:
            SendError: it was not sent, or not surely.
            InvalidOption, LookupError: the topology of today has no way for it.
        """
        envelope = later.anew(delivery.envelope)
        headers = {
            **envelope.headers,
            "retries": message.retries + 1,
            "eta": due.isoformat(),
            HISTORY: history(envelope.headers, error),
        }
        again = replace(envelope, headers=headers)
        self._app.send_again(message.task, delivery.queue, again, message.kwargs, due)


def history(headers: Mapping[str, Any], error: BaseException) -> list[Any]:
    """What went wrong with a message so far, and now this."""
    before = headers.get(HISTORY)
    earlier = before if isinstance(before, list) else []
    cause = error.cause if isinstance(error, Retry) and error.cause is not None else error
    entry = {"time": datetime.now(UTC).isoformat(), "error": brief(cause, 200)}
    return [*earlier, entry][-MOST_HISTORY:]
