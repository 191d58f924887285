"""A project as a user has it: a topology, its compiled package, an app, and worker processes."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from kombu.connection import Connection
from terminal import routewright

PATIENT = """
@app.task
def patient(number):
    if not (here / "mended").exists():
        raise ValueError(number)
    return number
"""
"""A task for the code of a project, which fails until there is a file `mended`."""

ROUTEWRIGHT = str(Path(sys.executable).with_name("routewright"))


class Project:
    """Files in a folder, applied to a virtual host of their own."""

    def __init__(self, folder: Path, url: str, topology: str, code: str) -> None:
        self.folder, self.url, self._code = folder, url, code
        self.workers: list[subprocess.Popen[str]] = []
        self.change(topology)
        (folder / "jobs.py").write_text(code, encoding="utf-8")

    def change(self, topology: str) -> None:
        """Write another topology, and apply it."""
        (self.folder / "topology.yaml").write_text(topology, encoding="utf-8")
        with chdir(self.folder):
            done = routewright("compile", "--apply", ROUTEWRIGHT_BROKER=self.url)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run `routewright`; what it printed."""
        done = subprocess.run(
            [ROUTEWRIGHT, *arguments],
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def parked(self) -> list[dict[str, Any]]:
        """What is parked, in short."""
        found = json.loads(self.run("parked", "list", "--format", "json"))
        messages: list[dict[str, Any]] = found["messages"]
        assert len(messages) == found["count"]
        return messages

    @contextmanager
    def worker(self, group: str = "all", *options: str) -> Iterator[subprocess.Popen[str]]:
        """A worker of a group, stopped at the end; its log is in `NAME.log`."""
        with (self.folder / "worker.log").open("a") as log:
            process = subprocess.Popen(
                [ROUTEWRIGHT, "worker", "jobs:app", "--group", group, *options],
                cwd=self.folder,
                env=self._environment(),
                stderr=log,
                text=True,
            )
            self.workers.append(process)
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                try:
                    process.wait(40)
                finally:
                    process.kill()
                    process.wait()

    def log(self) -> str:
        """What the workers have said."""
        return (self.folder / "worker.log").read_text()

    def pids(self, process: subprocess.Popen[str]) -> list[int]:
        """The processes of a worker, in the order of their start."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    @contextmanager
    def client(self) -> Iterator[ModuleType]:
        """The module `jobs`, in this process."""
        sys.path.insert(0, str(self.folder))
        _forget()  # what another test has generated under these names
        os.environ["ROUTEWRIGHT_BROKER"] = self.url
        try:
            importlib.invalidate_caches()
            module = importlib.import_module("jobs")
            with module.app:
                yield module
        finally:
            del os.environ["ROUTEWRIGHT_BROKER"]
            sys.path.remove(str(self.folder))
            _forget()

    def lines(self, name: str) -> list[str]:
        """The lines that tasks have written to a file."""
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def waiting(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        with Connection(self.url) as connection:
            channel: Any = connection.channel()
            return int(channel.queue_declare(queue, passive=True).message_count)

    def close(self) -> None:
        for process in self.workers:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "ROUTEWRIGHT_BROKER": self.url, "PYTHONDONTWRITEBYTECODE": "1"}


def _forget() -> None:
    for name in list(sys.modules):
        if name.partition(".")[0] in ("jobs", "shop_routing"):
            del sys.modules[name]
