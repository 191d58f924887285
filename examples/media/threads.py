"""Each worker group as threads of this process, for kombu's memory is nobody else's."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from groups import START, STOP, DemoFailed, wait

from routewright.runtime import App, Group, Worker

if TYPE_CHECKING:
    from media import Done


class Threads:
    """A worker for each group, and a thread for each task it may run at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._running: dict[str, tuple[Worker, threading.Thread]] = {}

    def __enter__(self) -> Self:
        for group in self._app.router.groups.values():
            self._start(group)
        return self

    def __exit__(self, *error: object) -> None:
        for worker, _ in self._running.values():
            worker.stop()
        for group, (_, thread) in self._running.items():
            thread.join(STOP)
            if thread.is_alive() and error[0] is None:
                raise DemoFailed(f"the worker of group {group} does not stop")

    def check(self) -> None:
        for group, (_, thread) in self._running.items():
            if not thread.is_alive():
                raise DemoFailed(f"the worker of group {group} ended by itself")

    def ran(self, done: Done) -> str:
        return f"{done['thread']}, pid {done['process']}"

    def _start(self, group: Group) -> None:
        print(f"Starting the workers of group {group.name} as threads", flush=True)
        others = set(threading.enumerate())
        worker = Worker(self._app, group)
        thread = threading.Thread(target=worker.run, daemon=True)
        self._running[group.name] = worker, thread
        thread.start()

        def task_threads() -> set[threading.Thread]:
            return set(threading.enumerate()) - others - {thread}

        wait(
            lambda: len(task_threads()) == group.concurrency,
            self.check,
            START,
            f"the worker of group {group.name} does not start",
        )
        for started in task_threads():  # a task then knows whose thread it runs in
            started.name = f"{group.name}/{started.name}"
