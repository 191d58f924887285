"""A worker can be ordered away from a queue for a while, and not for most of the time."""

from __future__ import annotations

from routewright.runtime.worker.absences import AWAY, Absences


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_queue_is_left_again_at_once_after_a_short_absence() -> None:
    clock = Clock()
    absences = Absences(clock)
    for _ in range(4):
        assert absences.pause("q") == 0
        absences.begin("q")
        clock.now += 5
        absences.end("q")
        clock.now += 5


def test_a_queue_that_was_left_for_a_minute_twice_is_kept_for_a_minute() -> None:
    clock = Clock()
    absences = Absences(clock)
    for pause in (5, 60):
        absences.begin("q")
        clock.now += AWAY
        absences.end("q")
        assert absences.pause("q") == pause
        clock.now += pause
        assert absences.pause("q") == 0


def test_whoever_orders_all_the_time_has_a_queue_left_for_half_of_it() -> None:
    for length in (0.5, 10.0, AWAY):
        clock = Clock()
        absences, started, away = Absences(clock), clock.now, 0.0
        while clock.now < started + 3600:
            clock.now += absences.pause("q")
            absences.begin("q")
            clock.now += length
            absences.end("q")
            away += length
        assert away <= (clock.now - started) / 2 + 120


def test_each_queue_is_counted_for_itself() -> None:
    clock = Clock()
    absences = Absences(clock)
    for _ in range(24):
        absences.begin("q")
        absences.end("q")
    assert absences.pause("q") > 0
    assert absences.pause("other") == 0
