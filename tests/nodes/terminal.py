"""Commands as a person runs them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence

from click.testing import CliRunner

from routewright.compiler.cli import main

ROUTEWRIGHT = (sys.executable, "-m", "routewright.compiler.cli")


def routewright(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of Routewright in this process; its output is no terminal."""
    done = CliRunner().invoke(main, arguments, env=environment)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def as_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of Routewright in a process of its own; its output is no terminal."""
    return subprocess.run(
        [*ROUTEWRIGHT, *arguments], check=False, capture_output=True, text=True, timeout=180
    )


def printed_on_terminal(command: Sequence[str], **environment: str) -> str:
    """Runs a command on a terminal. Returns what it prints."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **environment}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        printed = b""
        try:
            while chunk := os.read(ours, 65536):
                printed += chunk
        except OSError:  # how Linux tells the end of a terminal
            pass
        process.wait()
    os.close(ours)
    return printed.decode()
