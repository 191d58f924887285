"""Runs one call in a thread of its own, and waits for its value for a bounded time, or later."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def in_background(work: Callable[[], T]) -> Future[T]:
    """Starts a call in a thread of its own.

    A program that ends before the call does not wait for it, so the call should change nothing.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  raised again where the value is waited for
            answer.set_exception(error)
        else:
            answer.set_result(value)

    Thread(target=run, name="routewright-background", daemon=True).start()
    return answer


def bounded(work: Callable[[], T], seconds: float, late: Callable[[T], object]) -> T:
    """Returns the value of a call that may hang, as the look-up of a name may.

    Args:
        work: the call; its thread is left behind if it hangs.
        seconds: to wait for it.
        late: is given a value that comes afterwards.

    Raises:
        TimeoutError: there is no value yet.
    """
    answer = in_background(work)
    try:
        return answer.result(seconds)
    except TimeoutError:
        if answer.done():  # in the last moment; or the call itself raised a TimeoutError
            return answer.result()
        answer.add_done_callback(lambda done: done.exception() or late(done.result()))
        raise
