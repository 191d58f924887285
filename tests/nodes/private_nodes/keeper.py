"""A directory and child processes that do not outlive this process, however it ends."""

import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

# The keeper reads until its standard input ends, which happens when this process closes it or dies,
# even by SIGKILL and in whichever thread a node was started. The removal is repeated because a
# killed server may finish a write first.
_KEEPER = """
cat > /dev/null
for file in "$1"/running/*; do
    [ -e "$file" ] && kill -s KILL -- "-${file##*/}" 2> /dev/null
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" 2> /dev/null && break
    sleep 0.2
done
"""

# A child writes its process group down before it becomes the server, so that at no moment does it
# run unknown to the keeper. Erlang walks through all file descriptors that the limit allows, and
# containers allow a thousand million.
_CHILD = """
: > "$1/running/$$"
ulimit -n 16384 2> /dev/null
shift
exec "$@"
"""


class Keeper:
    """Owns a temporary directory and the processes started in it."""

    def __init__(self, name: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"routewright-{name}-"))
        (self.directory / "running").mkdir()
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._children: list[subprocess.Popen[bytes]] = []

    def spawn(
        self, command: Sequence[str], environment: Mapping[str, str], output: Path
    ) -> subprocess.Popen[bytes]:
        """Run a command in a process group of its own: Ctrl-C at the terminal is not for it."""
        with output.open("ab") as log:
            child = subprocess.Popen(
                ["/bin/sh", "-c", _CHILD, "child", str(self.directory), *command],
                env=environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)
        return child

    def end(self, child: subprocess.Popen[bytes], with_signal: signal.Signals) -> None:
        """Signal a child's process group and wait until the child is gone."""
        if child.poll() is None:
            child.send_signal(with_signal)
            child.wait(timeout=60)
        (self.directory / "running" / str(child.pid)).unlink(missing_ok=True)
        self._children.remove(child)

    def close(self) -> None:
        """End what still runs and remove the directory."""
        for child in tuple(self._children):
            self.end(child, signal.SIGKILL)
        if self._keeper.stdin:
            self._keeper.stdin.close()
        self._keeper.wait(timeout=30)
