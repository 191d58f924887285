"""An apply in a process of its own, which may be killed with -9 after one of its steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from routewright.compiler import compile_text
from routewright.compiler.broker.errors import Busy, StillInUse
from routewright.compiler.broker.open_session import open_session
from routewright.compiler.executor.deploy import execute, plan_for
from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.changes import verb

_NOT_YET, _IN_USE = 3, 4  # exit codes: try again; a queue that goes has consumers


def topology_of(text: str) -> Topology:
    """The topology in a text that is right."""
    compilation = compile_text(text)
    assert compilation.topology is not None, [str(it) for it in compilation.diagnostics]
    return compilation.topology


def applied(
    file: Path,
    url: str,
    management: str,
    kill_after: int = 0,
    on_use: Callable[[], None] = lambda: None,
) -> str:
    """Make a broker match a topology; after which step that was killed, if it was.

    Args:
        file: the topology.
        url: the broker's.
        management: its management API's.
        kill_after: the number of the step; 0 kills nothing.
        on_use: called when a queue that shall go is still consumed, before it is tried again.
    """
    command = [sys.executable, __file__, str(file), url, management, str(kill_after)]
    while True:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        match done.returncode:
            case 0:
                return ""
            case code if code == -signal.SIGKILL:
                return done.stdout
            case code if code == _IN_USE:
                on_use()
            case code if code != _NOT_YET:
                raise SystemExit(done.stderr)


def _main(file: str, url: str, management: str, kill_after: str) -> int:
    with open_session(url, 10, management) as session:
        plan = plan_for(topology_of(Path(file).read_text()), session)

        def die(_phase: str, done: int, _total: int) -> None:
            if done == int(kill_after):
                change = plan.pending[done - 1].change
                print(verb(change), change, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            execute(plan, session, die)
        except Busy:  # the dead one's lock is about to go
            return _NOT_YET
        except StillInUse as error:
            print(error, file=sys.stderr)
            return _IN_USE
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
