"""Each worker group as a process of `routewright worker`, which a broker is needed for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from groups import START, STOP, DemoFailed, wait

from routewright.runtime import App

if TYPE_CHECKING:
    from media import Done

HERE = Path(__file__).resolve().parent


class Processes:
    """A process for each group, with a log file for what it says."""

    def __init__(self, app: App, logs: Path) -> None:
        self._app = app
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        connection = self._app.broker.connect()
        try:
            self._start_all(connection.channel())
        except BaseException:
            self._stop()
            connection.collect()  # without a farewell: Ctrl-C may have cut short an answer
            raise
        connection.release()
        return self

    def __exit__(self, *error: object) -> None:
        codes = self._stop()
        if error[0] is None and any(codes.values()):
            ended = ", ".join(f"{group} with {code}" for group, code in codes.items())
            raise DemoFailed(f"the workers did not end well: {ended}; see the logs in {self._logs}")

    def check(self) -> None:
        for group, process in self._processes.items():
            if process.poll() is not None:
                lines = self._log(group).read_text(errors="replace").splitlines() or ["no word"]
                raise DemoFailed(f"the worker of group {group} ended by itself: {lines[-1]}")

    def ran(self, done: Done) -> str:
        for group, process in self._processes.items():
            # A worker runs tasks in children, which are in the process group that it leads.
            if process.pid == os.getpgid(done["process"]):
                return f"{group}, pid {done['process']}"
        return f"not ours, pid {done['process']}"

    def _start_all(self, channel: Any) -> None:
        before = self._consumers(channel, empty=True)
        for group in self._app.router.groups:
            self._start(group)
        wait(
            lambda: all(
                now > then for now, then in zip(self._consumers(channel), before, strict=True)
            ),
            self.check,
            START,
            "not all workers consume",
        )

    def _start(self, group: str) -> None:
        print(f"$ routewright worker media:app --group {group}", flush=True)
        command = [sys.executable, "-m", "routewright.compiler.cli"]
        with self._log(group).open("wb") as log, _signals_wait():
            self._processes[group] = subprocess.Popen(  # noqa: S603  our own command
                [*command, "worker", "media:app", "--group", group],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us, and then we stop them
            )

    def _stop(self) -> dict[str, int]:
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        return {group: process.wait() for group, process in self._processes.items()}

    def _log(self, group: str) -> Path:
        return self._logs / f"{group}.log"

    def _consumers(self, channel: Any, *, empty: bool = False) -> list[int]:
        """How many consumers each queue has, where the transport knows.

        Raises:
            DemoFailed: a queue is not empty and should be.
        """
        if not self._app.broker.is_amqp:
            return []
        found: list[int] = []
        for queue in (name for group in self._app.router.groups.values() for name in group.queues):
            _, messages, consumers = channel.queue_declare(queue, passive=True)
            if empty and messages:
                raise DemoFailed(
                    f"queue {queue} holds {messages} messages of somebody else's; empty it, or set "
                    "ROUTEWRIGHT_BROKER to another virtual host"
                )
            found.append(consumers)
        return found


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Heed signals afterwards: one amid the start of a process would lose sight of the process."""
    heard: list[int] = []
    ours = {
        number: signal.signal(number, lambda number, _frame: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        for number in heard:
            signal.raise_signal(number)
