"""Limits how long, and how often, a worker can be ordered away from one of its queues.

Anybody who may publish to the default exchange can write an order. A replacement is over in
seconds, and asks for few absences; whoever asks for more does not replace a queue, and would keep
its tasks waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

AWAY = 60.0  # seconds after which a queue that was left is consumed too, if it is still there
_MOST = 120.0  # seconds of absence that a worker has in store for a queue
_EACH = 5.0  # seconds that each absence costs besides its length: they cannot follow fast


@dataclass(slots=True)
class _Store:
    seconds: float
    at: float
    away: bool = False


class Absences:
    """Seconds that a worker may be away from each of its queues.

    They get fewer while it is away, and more at the same rate while it consumes the queue. An
    absence begins only where there are enough for its full length, so that the tasks which run have
    time to end. In the long run a worker is away for half of the time.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._stores: dict[str, _Store] = {}

    def pause(self, queue: str) -> float:
        """Returns the seconds until the queue may be left; 0 if it may be left now."""
        return max(0.0, AWAY - self._counted(queue).seconds)

    def begin(self, queue: str) -> None:
        """Counts the queue as left from now on."""
        store = self._counted(queue)
        store.seconds -= _EACH
        store.away = True

    def end(self, queue: str) -> None:
        """Counts the queue as consumed from now on."""
        self._counted(queue).away = False

    def _counted(self, queue: str) -> _Store:
        """Returns what is in store for a queue at this moment."""
        now = self._clock()
        store = self._stores.setdefault(queue, _Store(_MOST, now))
        passed = now - store.at
        store.seconds += -passed if store.away else passed
        store.seconds = min(_MOST, max(0.0, store.seconds))
        store.at = now
        return store
