"""What running tasks tell of their progress, on its way to whoever waits for them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Integral, Real
from time import monotonic
from typing import Any

from routewright.runtime.messages.message import Envelope, Message, running
from routewright.runtime.messages.outcome import PROGRESS, STARTED, Outcome

BITS = 64
INTERVAL = 0.1  # seconds between two words on one task; of what comes between, the latest counts


@dataclass(slots=True)
class _Latest:
    """The last that a task said, and when we last passed on what it said."""

    outcome: Outcome
    reply_to: str | None
    told: bool = False
    at: float = float("-inf")


class Progress:
    """Keeps the latest word of each task until it is passed on, so that a tight loop floods nobody.

    Task threads say, one other thread passes on; no task thread ever waits for the network.

    Args:
        wake: is called when there is something to pass on; it must not block.
        track_started: say of each task that it has started.
    """

    def __init__(self, wake: Callable[[], None], *, track_started: bool = False) -> None:
        self._wake = wake
        self.track_started = track_started
        self._lock = threading.Lock()
        self._latest: dict[str, _Latest] = {}

    def wanted(self, message: Message) -> bool:
        """Whether anybody could hear of a task's progress."""
        return message.reply_to is not None and not message.ignore_result

    def say(self, message: Message, status: str, info: Any) -> None:
        """Say how far a task is, in plain JSON."""
        if not self.wanted(message):
            return
        outcome = Outcome(message.id, status, info)
        with self._lock:
            latest = self._latest.setdefault(message.id, _Latest(outcome, message.reply_to, True))
            # What lies here untold has had its wake-up call, or is too soon: a later look finds it.
            wake = latest.told and monotonic() - latest.at >= INTERVAL
            latest.outcome, latest.told = outcome, False
        if wake:
            self._wake()

    def due(self) -> list[tuple[str | None, Envelope]]:
        """What may be passed on now, each with the queue that it goes to; once each.

        It is asked for often, at least every second.
        """
        if not self._latest:
            return []
        now = monotonic()
        passed = []
        with self._lock:
            for task_id, latest in list(self._latest.items()):
                if now - latest.at < INTERVAL:
                    continue
                if latest.told:  # a while ago; the task is over, or says nothing more
                    del self._latest[task_id]
                    continue
                passed.append(latest)
                latest.told, latest.at = True, now
        return [(each.reply_to, each.outcome.encode()) for each in passed]


#: Where the tasks of this thread say how far they are; None outside a worker.
reporting: ContextVar[Progress | None] = ContextVar("routewright_reporting", default=None)


def update_progress(done: float, total: float | None) -> None:
    """Say how far the task is that this thread runs; nothing, if it runs none.

    Raises:
        TypeError: what is given are no numbers.
        ValueError: a number has more than 64 bits.
    """
    done, total = _plain(done), None if total is None else _plain(total)
    message, progress = running.get(), reporting.get()
    if message is not None and progress is not None:
        progress.say(message, PROGRESS, {"done": done, "total": total})


def _plain(number: object) -> float:
    """A number of any kind, numpy's too, as one that JSON surely can carry."""
    if isinstance(number, Integral):
        whole = int(number)
        if whole.bit_length() > BITS:
            raise ValueError(f"progress is told in numbers of at most {BITS} bits")
        return whole
    if isinstance(number, Real):
        return float(number)
    raise TypeError(f"progress is told in numbers, not by a {type(number).__name__}")


def say_started() -> None:
    """Say that the task has started that this thread runs, if the worker tells of that."""
    message, progress = running.get(), reporting.get()
    if message is not None and progress is not None and progress.track_started:
        # As a Celery worker has it.
        progress.say(message, STARTED, {"pid": os.getpid(), "hostname": socket.gethostname()})
