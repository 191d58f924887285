"""What a task can do while a worker runs it."""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from routewright.runtime.messages.message import Message, request
from routewright.runtime.results.progress import update_progress
from routewright.runtime.sending.retrying import retry


class WhileRunning:
    """Of `self` in a `Task`, and in a function with `bind=True`."""

    @property
    def request(self) -> Message:
        """The message whose task this thread is running.

        Raises:
            InvalidOption: no worker is running it.
        """
        return request()

    def retry(
        self,
        *,
        countdown: float | None = None,
        eta: datetime | None = None,
        exc: BaseException | None = None,
        max_retries: int | None = None,
    ) -> NoReturn:
        """End the running task, to be tried again: `raise self.retry(...)`.

        See `routewright.runtime.sending.retrying.retry` for the arguments.

        Raises:
            Retry: always, in a worker.
        """
        retry(countdown=countdown, eta=eta, exc=exc, max_retries=max_retries)

    def update_progress(self, done: float, total: float | None = None) -> None:
        """Say how far the task is: its sender sees it as `result.info`, in state PROGRESS.

        It costs little and waits for nothing: of what a fast loop says, the latest is passed on.
        Outside a worker it does nothing.
        """
        update_progress(done, total)
