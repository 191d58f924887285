"""Work that is begun before its result is wanted, as waiting for a broker is."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Do something in a thread of its own.

    Returns:
        What gives the result, once; or raises what the work raised. A program that ends before
        does not wait for it, so that it should change nothing.
    """
    outcome: SimpleQueue[Callable[[], T]] = SimpleQueue()

    def attempt() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            failure = error

            def give() -> T:
                raise failure
        else:

            def give() -> T:
                return result

        outcome.put(give)

    def result() -> T:
        give = outcome.get()
        return give()

    Thread(target=attempt, name="routewright-ahead", daemon=True).start()
    return result
