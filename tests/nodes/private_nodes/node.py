"""What every private server has in common: start, stop, kill, restart."""

import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Self

from private_nodes.keeper import Keeper
from private_nodes.ports import Ports

# Debian keeps servers out of an ordinary user's path.
SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin"

# A refused setting is named at the top of some hundred lines.
_LOG_TAIL = 150


class NodeFailed(Exception):
    """A node did not start, or is not there; the message ends with the tail of its log."""


class Node(ABC):
    """A server of one's own; a context manager that starts it and throws it away."""

    start_timeout: ClassVar[float] = 90

    def __init__(self, name: str, port_count: int) -> None:
        self._ports = Ports(port_count)
        self._keeper = Keeper(name)
        self._child: subprocess.Popen[bytes] | None = None

    @staticmethod
    @abstractmethod
    def installed() -> bool:
        """Whether this machine has the server's programs."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _ready(self) -> bool:
        """Whether the server answers; an OSError means not yet."""

    def _environment(self) -> dict[str, str]:
        # Made from nothing: a variable of the caller's must not reach the server.
        return {"PATH": SEARCH_PATH, "HOME": str(self.directory), "LANG": "C.UTF-8"}

    @property
    def directory(self) -> Path:
        """Where configuration, data and logs are."""
        return self._keeper.directory

    @property
    def pid(self) -> int:
        """The server's own process, while it runs."""
        if self._child is None:
            raise NodeFailed("the node is not running")
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> Self:
        """Start the server and wait until it answers."""
        if self.running:
            raise NodeFailed("the node is running already")
        self._forget()
        child = self._child = self._keeper.spawn(
            self._command(), self._environment(), self.directory / "output.log"
        )
        deadline = time.monotonic() + self.start_timeout
        while not self._answers():
            if child.poll() is not None:
                self._forget()
                raise NodeFailed(f"the node ended with {child.returncode}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise NodeFailed(f"no answer in {self.start_timeout:g} s\n{self.log_tail()}")
            time.sleep(0.05)
        return self

    def stop(self) -> None:
        """Shut the server down in its own order; its data stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash of the machine would; its data stay."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Start again on the same data and ports, after a kill or with a stop first."""
        if self.running:
            self.stop()
        return self.start()

    def close(self) -> None:
        """End the server at once and remove its data."""
        self._child = None
        self._keeper.close()
        self._ports.close()

    def log_tail(self) -> str:
        """The last lines of all that the server wrote."""
        files = sorted(self.directory.glob("*.log"))
        lines = [line for file in files for line in _tail(file)]
        return "\n".join(lines)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self) -> bool:
        try:
            return self._ready()
        except OSError:
            return False

    def _end(self, with_signal: signal.Signals) -> None:
        if self._child is None:
            raise NodeFailed("the node is not running")
        self._keeper.end(self._child, with_signal)
        self._child = None

    def _forget(self) -> None:
        """Clear away a server that ended by itself."""
        if self._child is not None:
            self._end(signal.SIGKILL)


def find(program: str, folders: Iterable[str] = ()) -> str | None:
    """The path of a program, in these folders or where programs usually are."""
    return shutil.which(program, path=":".join([*folders, SEARCH_PATH]))


def accepts(port: int) -> bool:
    """Whether something listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _tail(file: Path) -> list[str]:
    lines = file.read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    return [f"--- {file.name}", *lines] if lines else []
