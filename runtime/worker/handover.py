"""The two queues between the network thread of a worker and its task threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TypeVar

from routewright.runtime.transport.consumer import Consumer, Delivery
from routewright.runtime.worker.verdicts import Settlement

T = TypeVar("T")


class Handover:
    """Hands deliveries to the task threads, and what is owed for them to the network thread.

    Args:
        wake: ends a `wait` of the network thread.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.unsettled = 0  # deliveries whose settlement has not come back; for the network thread
        self._wake = wake
        self._asleep = True
        self._ready: SimpleQueue[Delivery | None] = SimpleQueue()
        self._done: SimpleQueue[Settlement] = SimpleQueue()

    def start(self, delivery: Delivery) -> None:
        """Hands a delivery to the task threads."""
        self.unsettled += 1
        self._ready.put(delivery)

    def take(self) -> Delivery | None:
        """Waits for a delivery, in a task thread; None if the thread is to end."""
        return self._ready.get()

    def end_threads(self, count: int) -> None:
        """Ends so many task threads, each when its task is over."""
        for _ in range(count):
            self._ready.put(None)

    def owe(self, settlement: Settlement) -> None:
        """Leaves a settlement to the network thread, from any thread."""
        self._done.put(settlement)
        if self._asleep:
            self._asleep = False  # one call wakes it, and what others put meanwhile it will find
            self._wake()

    def settlements(self) -> Iterator[Settlement]:
        """Takes out what is owed, one by one, and counts it off."""
        while (settlement := _next(self._done)) is not None:
            self.unsettled -= settlement.ends
            yield settlement

    def count_off(self) -> None:
        """Forgets what is owed, where there is no connection to settle it on."""
        self._asleep = True  # before the look, as in `wait`
        for _ in self.settlements():
            pass

    def wait(self, consumer: Consumer, timeout: float) -> None:
        """Waits for the network or for a task thread, whichever has something first."""
        self._asleep = True  # before the look: what is put later wakes us
        consumer.wait(timeout if self._done.empty() else 0.0)
        self._asleep = False

    def withdraw(self, is_meant: Callable[[Delivery], bool]) -> list[Delivery]:
        """Takes back those deliveries that are meant and that no task thread has begun."""
        meant: list[Delivery] = []
        kept: list[Delivery] = []
        while (delivery := _next(self._ready)) is not None:
            (meant if is_meant(delivery) else kept).append(delivery)
        self.unsettled -= len(meant)
        for delivery in kept:
            self._ready.put(delivery)
        return meant


def _next(queue: SimpleQueue[T]) -> T | None:
    try:
        return queue.get_nowait()
    except Empty:
        return None
