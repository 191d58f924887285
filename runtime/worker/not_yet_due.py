"""Holds messages that came to a worker before they were due."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

from routewright.runtime.transport.consumer import Delivery


@dataclass(frozen=True, slots=True, order=True)
class _Held:
    until: datetime
    number: int  # in the order of their coming, where they are due at once
    delivery: Delivery


class NotYetDue:
    """Deliveries by the time until which each is held; used by one thread."""

    def __init__(self) -> None:
        self._held: list[_Held] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, delivery: Delivery, until: datetime) -> None:
        """Holds a delivery until a time."""
        heapq.heappush(self._held, _Held(until, next(self._numbers), delivery))

    def take_due(self) -> Iterator[Delivery]:
        """Takes those out whose time has come."""
        now = datetime.now(UTC)
        while self._held and self._held[0].until <= now:
            yield heapq.heappop(self._held).delivery

    def patience(self, longest: float) -> float:
        """Returns the seconds that the first of them has left; at most `longest`."""
        if not self._held:
            return longest
        left = (self._held[0].until - datetime.now(UTC)).total_seconds()
        return min(max(left, 0.0), longest)

    def take(self, is_meant: Callable[[Delivery], bool]) -> list[Delivery]:
        """Takes out those that are meant, due or not."""
        taken = [held.delivery for held in self._held if is_meant(held.delivery)]
        self._held = [held for held in self._held if not is_meant(held.delivery)]
        heapq.heapify(self._held)
        return taken
