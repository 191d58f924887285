"""`routewright worker`: find the app, find the group, run the worker, heed the signals."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from routewright.runtime.app import App
from routewright.runtime.errors import WorkerUsageError, near
from routewright.runtime.worker import Worker


def run_worker(
    app_path: str,
    group: str,
    *,
    concurrency: int | None = None,
    prefetch: int | None = None,
    grace: float = 30.0,
    log_level: str | int = logging.INFO,
) -> None:
    """Run a worker until SIGTERM or SIGINT; a second signal ends the process at once.

    Args:
        app_path: `MODULE:APP`; the module is looked for in the working directory first.
        group: the worker group's name in the topology.
        concurrency: how many tasks to run at a time, if not what the topology says.
        prefetch: how many messages each queue's consumer holds, if not as many as `concurrency`
            says, or else the topology.
        grace: seconds that running tasks get to finish.
        log_level: as of `logging`; used only if the app's module has not configured logging.

    Raises:
        WorkerUsageError: the app cannot be had or has none of the tasks, or an option is out of
            range.
        UnknownGroup: the topology declares no such group.
        MissingQueue: the broker lacks one of the group's queues.
        LoginRefused: the broker refuses the user or the virtual host.
    """
    for name, value in (("concurrency", concurrency), ("prefetch", prefetch)):
        if value is not None and value < 1:
            raise WorkerUsageError(f"{name} is at least 1, not {value}")
    app = load_app(app_path)
    chosen = app.router.group(group)
    chosen = replace(
        chosen,
        concurrency=concurrency or chosen.concurrency,
        prefetch=prefetch or concurrency or chosen.prefetch,
    )
    _configure_logging(log_level)
    worker = Worker(app, chosen, grace=grace)
    with app, _heeding_signals(worker):
        worker.run()


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


@contextmanager
def _heeding_signals(worker: Worker) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    asked = False

    def heed(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise SystemExit(128 + number)
        asked = True
        worker.stop()

    previous = {number: signal.signal(number, heed) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
