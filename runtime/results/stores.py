"""The way results go: back to their sender over the broker, or through Redis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from routewright.runtime.errors import InvalidOption
from routewright.runtime.messages.message import Envelope
from routewright.runtime.results.async_result import AsyncResult, Home
from routewright.runtime.results.progress import Progress
from routewright.runtime.results.reply_queue import ReplyQueue
from routewright.runtime.transport.broker import Broker

RPC = "rpc://"


class Results(Home, Protocol):
    """What an app, which sends, and a worker need of the way that results go."""

    def reply_to(self, connect_timeout: float | None = None) -> str | None:
        """The queue that a message asks for its result in; None if there is no need for one."""
        ...

    def expect(self, result: AsyncResult[Any]) -> None:
        """Hand on what comes for the result of a task that is about to be sent."""
        ...

    def look_up(self, task_id: str) -> AsyncResult[Any]:
        """The result of a task of which only the id is known.

        Raises:
            NoResult: it goes elsewhere.
        """
        ...

    def keep(self, reply: Envelope) -> bool:
        """Store an encoded outcome, from the task's thread; False: it is to be sent instead.

        It raises nothing: a result that cannot be stored is logged.
        """
        ...

    def progress(self, wake: Callable[[], None], *, track_started: bool = False) -> Progress:
        """What a worker's tasks tell of their progress.

        Args:
            wake: is called when the worker's network thread should ask what is `due`.
            track_started: tell of each task that it has started.
        """
        ...

    def close(self) -> None:
        """Close the connections; a later use opens them again."""
        ...

    def after_fork(self) -> None:
        """Start afresh in a forked child."""
        ...


def results_at(url: str, broker: Broker) -> Results:
    """The way that a URL names.

    Raises:
        InvalidOption: there is no such way, or the URL cannot be read.
    """
    scheme, separator, _ = url.partition("://")
    if separator and scheme == "rpc":
        return ReplyQueue(broker)
    if separator and scheme in ("redis", "rediss", "unix"):
        from routewright.runtime.results.redis_results import RedisResults  # noqa: PLC0415  imports redis-py

        return RedisResults(url)
    # The rest of the URL may hold a password.
    shown = f"`{scheme}://`" if separator and scheme.isalnum() else "a URL without a scheme"
    raise InvalidOption(f"results go by `rpc://` or to `redis://HOST:PORT/DATABASE`, not {shown}")
