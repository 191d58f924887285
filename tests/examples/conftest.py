"""The example in a folder of its own, so that tests neither share output nor touch the source."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Checkout:
    """As much of a fresh clone as the demo needs."""

    root: Path

    @property
    def example(self) -> Path:
        return self.root / "examples" / "media"

    @property
    def out(self) -> Path:
        return self.example / "out"

    def demo(
        self, broker: str | None = None, *, local: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the demo from elsewhere, with `$ROUTEWRIGHT_BROKER` set, or `local` for localhost."""
        command = [sys.executable, str(self.example / "demo.py")]
        if local:
            program = (
                f"import sys; sys.path.insert(0, {str(self.example)!r}); import demo; "
                f"demo.LOCAL = {local!r}; sys.exit(demo.main())"
            )
            command = [sys.executable, "-c", program]
        return subprocess.run(
            command,
            cwd=self.root.parent,
            env=self.environment(broker),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def start_demo(self, broker: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, str(self.example / "demo.py")],
            cwd=self.root.parent,
            env=self.environment(broker),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell has what it starts in the background ignore it. No thread is in the way.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def environment(self, broker: str | None) -> Mapping[str, str]:
        kept = {name: it for name, it in os.environ.items() if name != "ROUTEWRIGHT_BROKER"}
        return kept | ({"ROUTEWRIGHT_BROKER": broker} if broker else {})

    def workers(self) -> list[int]:
        """The processes that run in the example's folder, as its workers do."""
        return [
            int(process.name)
            for process in Path("/proc").glob("[0-9]*")
            if _works_in(process, self.example)
        ]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "checkout"
    unwanted = shutil.ignore_patterns("out", "__pycache__")
    shutil.copytree(ROOT / "examples" / "media", root / "examples" / "media", ignore=unwanted)
    shutil.copy(ROOT / "topology.yaml", root)
    return Checkout(root)


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder.resolve()
    except OSError:  # it has ended, or is somebody else's
        return False
