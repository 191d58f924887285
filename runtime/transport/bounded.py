"""Calls that may hang, as a look-up of a name may, made to end in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def bounded(work: Callable[[], T], seconds: float, late: Callable[[T], None]) -> T:
    """The value of a call that is given so many seconds.

    It is made in a thread of its own, which is left behind if it hangs; a value that comes too late
    goes to `late`.

    Raises:
        TimeoutError: there is no value yet.
    """
    answer: Future[T] = Future()
    lock = threading.Lock()
    given_up = False

    def run() -> None:
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001  it is raised again where it is waited for
            answer.set_exception(error)
            return
        with lock:
            if not given_up:
                answer.set_result(value)
                return
        late(value)

    threading.Thread(target=run, name="routewright-connecting", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        with lock:
            given_up = not answer.done()
        if given_up:
            raise
        return answer.result()
