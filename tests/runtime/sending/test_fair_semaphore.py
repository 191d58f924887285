"""A semaphore serves its waiters in their order."""

from __future__ import annotations

import threading

from waiting import Eventually

from routewright.runtime.sending.fair_semaphore import FairSemaphore


def test_a_thread_that_releases_does_not_acquire_again_before_those_that_wait(
    eventually: Eventually,
) -> None:
    semaphore, got = FairSemaphore(1), list[int]()
    assert semaphore.acquire()
    waiting = [
        threading.Thread(target=lambda it=it: got.append(it * semaphore.acquire(20)))
        for it in (1, 2)
    ]
    for place, thread in enumerate(waiting, 1):
        thread.start()
        eventually(lambda place=place: semaphore.waiting == place)
    semaphore.release()
    assert not semaphore.acquire()
    eventually(lambda: got == [1])
    semaphore.release()
    assert not semaphore.acquire()
    eventually(lambda: got == [1, 2])
    semaphore.release()
    assert semaphore.acquire()
    for thread in waiting:
        thread.join()


def test_a_thread_that_gave_up_waiting_takes_no_place_from_others() -> None:
    semaphore = FairSemaphore(1)
    assert semaphore.acquire()
    assert not semaphore.acquire(0.01)
    semaphore.release()
    assert semaphore.acquire()
    assert not semaphore.acquire()


def test_there_are_never_more_holders_than_places() -> None:
    semaphore, most, now = FairSemaphore(3), [0], [0]
    lock = threading.Lock()

    def run() -> None:
        for _ in range(200):
            assert semaphore.acquire(20)
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1
            semaphore.release()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 3
    assert [semaphore.acquire() for _ in range(4)] == [True, True, True, False]
