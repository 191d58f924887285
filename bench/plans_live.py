"""Plans on a real RabbitMQ: how long many objects take, and whether a second plan is empty."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import httpx
import tests_path  # noqa: F401  puts what tests share on the path
from private_nodes import RabbitMQ
from random_changes import random_pair
from rich.console import Console
from rich.table import Table

from routewright.compiler.broker.open_session import open_session
from routewright.compiler.executor.deploy import deploy, plan_for

COMMAND = [sys.executable, "-m", "routewright.compiler.cli"]


def topology(queues: int, vhost: str) -> str:
    """A topology of ten exchanges, with five bindings for each queue."""
    lines = [f"topology: large\nvhost: {vhost}\nexchanges:"]
    lines += [f"  x{n}: {{type: topic}}" for n in range(10)]
    lines.append("queues:")
    for number in range(queues):
        keys = (
            f'{{exchange: x{(number + n) % 10}, binding_key: "q{number}.k{n}"}}' for n in range(5)
        )
        lines.append(f"  q{number}: {{bindings: [{', '.join(keys)}]}}")
    return "\n".join(lines) + "\n"


def timed(*command: str) -> float:
    """Seconds that a whole command takes; of byte code, as an installed package has it."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.monotonic() - started


class Runs:
    """Times of whole commands on one node, a new virtual host for each way of a round."""

    def __init__(self, node: RabbitMQ, queues: int) -> None:
        self._node, self._queues = node, queues
        self.times: dict[str, list[float]] = {}

    def round(self, number: int) -> None:
        """Go each of the ways once; every other round the other way round."""
        ways = [self._imported, self._posted, self._planned, self._compiled]
        for way in ways if number % 2 else reversed(ways):
            vhost = self._node.fresh_vhost()
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "large.yaml")
                file.write_text(topology(self._queues, vhost))
                timed(*COMMAND, "compile", str(file), "-o", f"{folder}/out")
                way(vhost, file, Path(folder, "out", "definitions.json"))
            rows = self._node.api("GET", f"/bindings/{vhost}")
            own = [it for it in rows if it["source"].startswith("x")]
            if len(own) != self._queues * 5:
                raise SystemExit(f"{way}: {len(own)} bindings instead of {self._queues * 5}")
            # It goes with the node: removing so much takes longer than a request may.
        self._note("rabbitmqctl version", lambda: self._node.ctl("version"))
        self._note("routewright --version", lambda: timed(*COMMAND, "--version"))

    def _imported(self, _vhost: str, _file: Path, definitions: Path) -> None:
        for what in ("import", "import again"):
            self._note(
                what, lambda: self._node.ctl("import_definitions", str(definitions), timeout=900)
            )

    def _posted(self, vhost: str, _file: Path, definitions: Path) -> None:
        data = json.dumps(json.loads(definitions.read_bytes())).encode()  # indented it is too much
        for what in ("import over HTTP", "import over HTTP again"):
            self._note(what, lambda: self._post(vhost, data))

    def _post(self, vhost: str, data: bytes) -> None:
        url = f"{self._node.management_url}/api/definitions/{vhost}"
        kind = {"content-type": "application/json"}
        answer = httpx.post(url, content=data, headers=kind, auth=("guest", "guest"), timeout=900)
        answer.raise_for_status()

    def _planned(self, vhost: str, file: Path, _definitions: Path) -> None:
        plan, broker = str(file.with_name("plan.json")), self._broker(vhost)
        for again in ("", " again"):
            self._note(
                f"plan{again}", lambda: timed(*COMMAND, "plan", str(file), *broker, "-o", plan)
            )
            self._note(f"apply{again}", lambda: timed(*COMMAND, "apply", plan, *broker))

    def _compiled(self, vhost: str, file: Path, _definitions: Path) -> None:
        out, broker = str(file.with_name("out")), self._broker(vhost)
        for again in ("", " again"):
            self._note(
                f"compile --apply{again}",
                lambda: timed(*COMMAND, "compile", str(file), "-o", out, "--apply", *broker),
            )

    def _broker(self, vhost: str) -> tuple[str, ...]:
        node = self._node
        return (
            "--broker", node.url(vhost), "--management", node.management_url, "--timeout", "300"
        )  # fmt: skip

    def _note(self, what: str, run: Callable[[], object]) -> None:
        started = time.monotonic()
        run()
        self.times.setdefault(what, []).append(time.monotonic() - started)
        print(f"{what}: {self.times[what][-1]:.2f} s", file=sys.stderr)

    def table(self) -> Table:
        """Medians, and ratios to the import that does as much."""
        found = {what: median(times) for what, times in self.times.items()}
        table = Table(
            "what", "seconds", "ratio to import",
            title=f"{self._queues:,} queues, {self._queues * 5:,} bindings",
        )  # fmt: skip
        for what, seconds in found.items():
            peer = found["import again" if what.endswith("again") else "import"]
            alike = "version" not in what
            table.add_row(what, f"{seconds:.2f}", f"{seconds / peer:.2f}" if alike else "")
        return table


def pairs(node: RabbitMQ, count: int, seed: int) -> int:
    """Apply random pairs one after the other; how many second plans were not empty."""
    wrong = 0
    for number in range(count):
        vhost = node.fresh_vhost()
        with open_session(node.url(vhost), 10, node.management_url) as session:
            for it in random_pair(seed * 1_000_000 + number):
                done = deploy(it, session)
                session.unlock(it.name)
                again = plan_for(it, session)
                if again.steps or done.differs:
                    wrong += 1
                    print(f"pair {number}: {json.dumps([str(it.change) for it in again.steps])}")
        node.delete_vhost(vhost)
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--queues", type=int, nargs="*", default=[1000])
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    wrong = 0
    with RabbitMQ() as node:
        if arguments.pairs:
            wrong = pairs(node, arguments.pairs, arguments.seed)
            print(f"{arguments.pairs} random pairs applied; second plans not empty: {wrong}")
        for queues in arguments.queues:
            runs = Runs(node, queues)
            for number in range(arguments.runs):
                runs.round(number)
            Console().print(runs.table())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
