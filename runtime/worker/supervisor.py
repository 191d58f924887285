"""The parent of a group's processes: starts them, replaces the dead, stops them all."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType

from routewright.runtime import errors
from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.errors import RoutewrightError
from routewright.runtime.transport.waker import Waker
from routewright.runtime.worker.crash_counts import CrashCounts

# Exit codes of a process that has stopped, cannot start, or wants a successor.
STOPPED, REFUSED, WANTS_SUCCESSOR = 0, 78, 75
BACKOFF = (0.1, 10.0)  # seconds between the deaths of a process and its replacement
STEADY = 10.0  # seconds; a process that lived as long was a good one
MARGIN = 10.0  # seconds beyond the grace period until a process is killed
HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

logger = logging.getLogger("routewright.supervisor")


@dataclass
class Place:
    """A process's place: who is there, or since when nobody."""

    number: int
    pid: int | None = None
    report: int = -1  # the reading end of a pipe that tells why it cannot start
    started: float = 0.0
    due: float = 0.0  # when to start the next one
    backoff: Backoff = field(default_factory=lambda: Backoff(*BACKOFF))
    generation: int = 0


@dataclass
class Supervisor:
    """Runs `serve` in so many processes until a signal comes.

    Args:
        serve: what a process does, given its number, and whether it replaces another one; the
            exit code.
        count: how many processes.
        crash_counts: where they note what they are running.
        grace: seconds that they need to stop in order.
    """

    serve: Callable[[int, bool], int]
    count: int
    crash_counts: CrashCounts
    grace: float
    _signals: list[int] = field(default_factory=list)
    _places: list[Place] = field(default_factory=list)
    _lifeline: tuple[int, int] = (-1, -1)

    def run(self) -> None:
        """Keeps the processes running; the first SIGTERM or SIGINT stops them in order.

        Raises:
            RoutewrightError: one of the first processes raised it, and the others were ended.
            SystemExit: a second signal came, and they were killed.
        """
        self._lifeline = os.pipe()
        gc.collect()
        gc.freeze()  # what is here already need not be copied for each process
        with Waker() as waker, self._heeding(waker):
            try:
                self._places = [Place(number) for number in range(self.count)]
                while not self._signals:
                    self._start_due()
                    waker.wait(self._patience())
                    self._reap()
                self._stop(waker)
            finally:
                self._kill()
                for end in self._lifeline:
                    os.close(end)

    @contextmanager
    def _heeding(self, waker: Waker) -> Iterator[None]:
        def heed(number: int, _frame: FrameType | None) -> None:
            if number != signal.SIGCHLD:
                self._signals.append(number)
            waker.wake()

        before = {number: signal.signal(number, heed) for number in HEEDED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _start_due(self) -> None:
        for place in self._places:
            if place.pid is None and place.due <= monotonic():
                self._start(place)

    def _start(self, place: Place) -> None:
        reading, writing = os.pipe()
        place.started = monotonic()
        place.generation += 1
        self.crash_counts.forget(place.number)
        _flush()  # or the child would write it again
        # A signal between the fork and the child's own handlers would be taken for the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            os._exit(self._run_child(place, writing))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
        os.close(writing)
        os.set_blocking(reading, False)  # what a task forks may hold the other end indefinitely
        place.pid, place.report = pid, reading

    def _run_child(self, place: Place, report: int) -> int:
        """Runs `serve` in a child. Returns its exit code."""
        for number in HEEDED:
            signal.signal(number, signal.SIG_DFL)
        # A terminal's Ctrl-C goes to all of us, and it is the parent who tells the others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
        os.close(self._lifeline[1])
        try:
            return self.serve(place.number, place.generation > 1)
        except RoutewrightError as error:
            text = json.dumps({"type": type(error).__name__, "text": str(error)})
            os.write(report, text.encode())
            return REFUSED
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else 1
        except BaseException:
            logger.exception("process %d failed", place.number)
            return 1
        finally:
            logging.shutdown()
            _flush()

    @property
    def lifeline(self) -> int:
        """In a child: what can be read, and ends, when the parent is gone."""
        return self._lifeline[0]

    def _patience(self) -> float:
        waits = [place.due - monotonic() for place in self._places if place.pid is None]
        return max(min(waits, default=3600.0), 0.0)

    def _reap(self) -> None:
        for place in self._places:
            if place.pid is None:
                continue
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if pid:
                self._note_end(place, os.waitstatus_to_exitcode(status))

    def _note_end(self, place: Place, code: int) -> None:
        """Notes that a process has ended, and when the next one starts."""
        with os.fdopen(place.report, "rb") as pipe:
            report = pipe.read() or b""
        place.pid = None
        if code == REFUSED and place.generation == 1:
            raise _raised(report)
        if code in (STOPPED, WANTS_SUCCESSOR):
            place.due = monotonic()
            place.backoff.reset()
            return
        counts = self.crash_counts.record_crash(place.number)
        if monotonic() - place.started >= STEADY:
            place.backoff.reset()
        place.due = monotonic() + place.backoff.pause
        place.backoff.lengthen()
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        logger.error(
            "process %d ended %s with %d tasks running; the next one starts in %.1f s",
            place.number,
            how,
            len(counts),
            place.due - monotonic(),
        )

    def _stop(self, waker: Waker) -> None:
        """Has the processes stop in order; a second signal kills them."""
        self._signal(signal.SIGTERM)
        deadline = monotonic() + self.grace + MARGIN
        while any(place.pid for place in self._places) and monotonic() < deadline:
            if len(self._signals) > 1:
                raise SystemExit(128 + self._signals[-1])
            waker.wait(min(deadline - monotonic(), 1.0))
            with suppress(RoutewrightError):
                self._reap()

    def _signal(self, number: int) -> None:
        for place in self._places:
            if place.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(place.pid, number)

    def _kill(self) -> None:
        """Ends what is left, at once; the broker takes back what it had."""
        self._signal(signal.SIGKILL)
        for place in self._places:
            if place.pid is not None:
                os.waitpid(place.pid, 0)
                os.close(place.report)
                place.pid = None


def _flush() -> None:
    """Write out what was printed; `os._exit` does not."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _raised(report: bytes) -> RoutewrightError:
    """Returns the error that a process reported before it ended."""
    try:
        said = json.loads(report)
    except ValueError:
        return errors.WorkerUsageError("a process of the worker could not start")
    kind = getattr(errors, said["type"], errors.WorkerUsageError)
    found: RoutewrightError = kind(said["text"])
    return found
