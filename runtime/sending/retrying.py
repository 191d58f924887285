"""Decides whether a task is tried again, and sends its message once more."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from routewright.runtime.errors import InvalidOption, Retry, UnknownTask
from routewright.runtime.messages.message import Message, running
from routewright.runtime.messages.short_repr import short_repr
from routewright.runtime.router.retry_policy import RetryPolicy
from routewright.runtime.router.route import Router
from routewright.runtime.sending.delaying import due_at
from routewright.runtime.sending.resending import Resender, as_new
from routewright.runtime.transport.consumer import Delivery

HISTORY = "routewright-history"  # the header that says when and why a task was tried again
MOST_HISTORY = 20  # tries; the last ones are kept


def retry(
    *,
    countdown: float | None = None,
    eta: datetime | None = None,
    exc: BaseException | None = None,
    max_retries: int | None = None,
) -> NoReturn:
    """Ends the running task, to be tried again; what `self.retry` does.

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
    due = due_at(countdown, eta)
    if running.get() is None:
        if cause is not None:
            raise cause
        raise InvalidOption("retry() is for a task that a worker runs")
    raise Retry(due, cause, max_retries) from cause


class Retrier:
    """Decides whether a task that raised is tried again, and sends it.

    Args:
        router: says which tasks are tried again, and how often.
        resender: sends them.
    """

    def __init__(self, router: Router[Any], resender: Resender) -> None:
        self._router = router
        self._resender = resender

    def policy(self, task: str) -> RetryPolicy | None:
        """Returns what the topology of today says about retries of a task."""
        try:
            return self._router.resolve(task).retry
        except UnknownTask:
            return None

    def due(self, message: Message, error: BaseException) -> datetime | None:
        """Returns when a task that raised is tried again; None if it is not, or has no try left."""
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
        """Returns True if a task that raised would be tried again, were there tries left."""
        policy = self.policy(message.task)
        return isinstance(error, Retry) or (policy is not None and policy.covers(error))

    def send(
        self, delivery: Delivery, message: Message, error: BaseException, due: datetime
    ) -> None:
        """Sends a message once more, to arrive at a time.

        Raises:
            SendError: it was not sent, or not surely.
            InvalidOption, LookupError: the topology of today has no way for it.
        """
        envelope = as_new(delivery.envelope)
        headers = {
            **envelope.headers,
            "retries": message.retries + 1,
            "eta": due.isoformat(),
            HISTORY: history(envelope.headers, error),
        }
        again = replace(envelope, headers=headers)
        self._resender.send_again(message.task, delivery.queue, again, message.kwargs, due)


def history(headers: Mapping[str, Any], error: BaseException) -> list[Any]:
    """Returns the errors of a message so far, followed by this one."""
    before = headers.get(HISTORY)
    earlier = before if isinstance(before, list) else []
    cause = error.cause if isinstance(error, Retry) and error.cause is not None else error
    entry = {"time": datetime.now(UTC).isoformat(), "error": short_repr(cause, 200)}
    return [*earlier, entry][-MOST_HISTORY:]
