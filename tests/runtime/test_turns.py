"""Turns at a thing are taken in the order in which they were wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable

from routewright.runtime.sending.fair_semaphore import Turns

Eventually = Callable[..., None]


def test_who_ends_a_turn_does_not_get_the_next_before_who_waits(eventually: Eventually) -> None:
    turns, got = Turns(1), list[int]()
    assert turns.begin()
    waiting = [
        threading.Thread(target=lambda it=it: got.append(it * turns.begin(20))) for it in (1, 2)
    ]
    for place, thread in enumerate(waiting, 1):
        thread.start()
        eventually(lambda place=place: len(turns._waiting) == place)
    turns.end()
    assert not turns.begin()
    eventually(lambda: got == [1])
    turns.end()
    assert not turns.begin()
    eventually(lambda: got == [1, 2])
    turns.end()
    assert turns.begin()
    for thread in waiting:
        thread.join()


def test_who_has_waited_in_vain_takes_no_turn_from_others() -> None:
    turns = Turns(1)
    assert turns.begin()
    assert not turns.begin(0.01)
    turns.end()
    assert turns.begin()
    assert not turns.begin()


def test_many_threads_have_no_more_turns_than_there_are() -> None:
    turns, most, now = Turns(3), [0], [0]
    lock = threading.Lock()

    def run() -> None:
        for _ in range(200):
            assert turns.begin(20)
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1
            turns.end()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 3
    assert [turns.begin() for _ in range(4)] == [True, True, True, False]
