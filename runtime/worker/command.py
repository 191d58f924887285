"""`routewright worker`: find the app, find the group, run its processes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from routewright.runtime.api.app import App
from routewright.runtime.errors import WorkerUsageError, near
from routewright.runtime.messages.events import node_name
from routewright.runtime.router.route import Group
from routewright.runtime.worker.crash_counts import CrashCounts, CrashWatch
from routewright.runtime.worker.startup_checks import accepted, check_code
from routewright.runtime.worker.supervisor import STOPPED, WANTS_SUCCESSOR, Supervisor
from routewright.runtime.worker.worker import Worker


def run_worker(
    app_path: str,
    group: str,
    *,
    processes: int | None = None,
    concurrency: int | None = None,
    prefetch: int | None = None,
    grace: float = 30.0,
    log_level: str | int = logging.INFO,
) -> None:
    """Run a worker until SIGTERM or SIGINT; a second signal ends it at once.

    Args:
        app_path: `MODULE:APP`; the module is looked for in the working directory first.
        group: the worker group's name in the topology.
        processes: how many processes to run, if not as many as the topology says.
        concurrency: how many tasks each of them runs at a time, if not what the topology says.
        prefetch: how many messages each queue's consumer holds, if not as many as `concurrency`
            says, or else the topology.
        grace: seconds that running tasks get to finish.
        log_level: a level of `logging`; used only if the app's module has not configured logging.

    Raises:
        WorkerUsageError: the app cannot be had or has none of the tasks, or an option is out of
            range.
        UnknownGroup: the topology declares no such group.
        MissingQueue: the broker lacks one of the group's queues.
        LoginRefused: the broker refuses the user or the virtual host.
    """
    given = {"processes": processes, "concurrency": concurrency, "prefetch": prefetch}
    for name, value in given.items():
        if value is not None and value < 1:
            raise WorkerUsageError(f"{name} is at least 1, not {value}")
    app = load_app(app_path)
    chosen = app.router.group(group)
    chosen = replace(
        chosen,
        processes=processes or chosen.processes,
        concurrency=concurrency or chosen.concurrency,
        prefetch=prefetch or concurrency or chosen.prefetch,
    )
    _configure_logging(log_level)
    if threading.current_thread() is not threading.main_thread():  # which alone may have handlers
        with app:
            Worker(app, chosen, grace=grace).run()
        return
    accepted(chosen)
    check_code(app, chosen)
    _supervise(app, chosen, grace)


def _supervise(app: App, group: Group, grace: float) -> None:
    counts = CrashCounts(group.processes, group.concurrency)

    def serve(number: int, replaces: bool) -> int:
        name = f"{group.name}-{number}" if group.processes > 1 else group.name
        worker = Worker(
            app,
            group,
            grace=grace,
            crash_watch=CrashWatch(counts, number),
            patient=replaces,
            node=node_name(name),
        )
        _heed(worker, supervisor.lifeline)
        with app:
            worker.run()
        return WANTS_SUCCESSOR if worker.wants_successor else STOPPED

    supervisor = Supervisor(serve, group.processes, counts, grace)
    supervisor.run()


def _heed(worker: Worker, lifeline: int) -> None:
    """Stop a worker when its process is told to, or has lost its parent."""

    def stop(number: int, _frame: FrameType | None) -> None:
        # systemd tells each process, and then the parent does too. A second signal to the parent
        # kills us.
        signal.signal(number, signal.SIG_IGN)
        worker.stop()

    def watch() -> None:
        os.read(lifeline, 1)
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def load_app(app_path: str) -> App:
    """Import `MODULE:APP`, and the modules that the app includes.

    Raises:
        WorkerUsageError: there is no such module or app, or importing failed; it says which.
    """
    module_name, colon, attributes = app_path.partition(":")
    if not module_name or not colon or not attributes:
        raise WorkerUsageError(f"`{app_path}` is not MODULE:APP, as in `media:app`")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found: Any = _import(module_name)
    for name in attributes.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            names = getattr(found, "__dict__", {})
            apps = tuple(key for key, value in names.items() if isinstance(value, App))
            hint = near(name, apps) or (f"; it has the app `{apps[0]}`" if apps else "")
            raise WorkerUsageError(f"module `{module_name}` has no `{attributes}`{hint}") from None
    if not isinstance(found, App):
        raise WorkerUsageError(f"`{app_path}` is no App but {type(found).__name__}")
    for name in found.include:
        _import(name)
    return found


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise WorkerUsageError(f"no module `{name}` here or on the Python path") from error
        raise WorkerUsageError(_import_failure(name, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise WorkerUsageError(_import_failure(name, error)) from error


def _import_failure(name: str, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"importing `{name}` failed: {type(error).__name__}: {text}{place}"


def _configure_logging(level: str | int) -> None:
    if not logging.getLogger().handlers:
        logging.basicConfig(
            level=level, format="%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"
        )
