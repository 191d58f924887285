"""Plans on a real RabbitMQ: how long many objects take, and whether a second plan is empty."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from random_changes import random_pair
from rich.console import Console
from rich.table import Table

from routewright.compiler.broker.deploy import deploy, plan_for
from routewright.compiler.broker.session import opened

sys.path.append(str(Path(__file__).parent.parent / "tests" / "nodes"))

from private_nodes import RabbitMQ

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
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


def imported(node: RabbitMQ, file: str) -> float:
    started = time.monotonic()
    node.ctl("import_definitions", file, timeout=600)
    return time.monotonic() - started


def durations(node: RabbitMQ, queues: int, runs: int) -> dict[str, float]:
    """Medians in seconds of whole commands, a new virtual host for each run."""
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            for way in ("import", "apply"):
                vhost = node.fresh_vhost()
                file = Path(folder, f"{way}.yaml")
                file.write_text(topology(queues, vhost))
                timed(*COMMAND, "compile", str(file), "-o", f"{folder}/{way}")
                definitions = f"{folder}/{way}/definitions.json"
                url, api = node.url(vhost), node.management_url
                if way == "import":
                    steps = {
                        "import": lambda f=definitions: imported(node, f),
                        "import again": lambda f=definitions: imported(node, f),
                    }
                else:
                    plan = f"{folder}/plan.json"
                    broker = ("--broker", url, "--management", api, "--timeout", "60")
                    steps = {
                        "plan": lambda f=file, b=broker, p=plan: timed(
                            *COMMAND, "plan", str(f), *b, "-o", p
                        ),
                        "apply": lambda b=broker, p=plan: timed(*COMMAND, "apply", p, *b),
                        "plan again": lambda f=file, b=broker, p=plan: timed(
                            *COMMAND, "plan", str(f), *b, "-o", p
                        ),
                        "apply again": lambda b=broker, p=plan: timed(*COMMAND, "apply", p, *b),
                    }
                for what, run in steps.items():
                    found.setdefault(what, []).append(run())
                rows = node.api("GET", f"/bindings/{vhost}")
                own = [it for it in rows if it["source"].startswith("x")]
                if len(own) != queues * 5:
                    raise SystemExit(f"{way}: {len(own)} bindings instead of {queues * 5}")
                node.delete_vhost(vhost)
    return {what: median(times) for what, times in found.items()}


def pairs(node: RabbitMQ, count: int, seed: int) -> int:
    """Apply random pairs one after the other; how many second plans were not empty."""
    wrong = 0
    for number in range(count):
        vhost = node.fresh_vhost()
        with opened(node.url(vhost), 10, node.management_url) as session:
            for it in random_pair(seed * 1_000_000 + number):
                done = deploy(plan_for(it, session), session)
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
            table = Table("what", "seconds", title=f"{queues:,} queues, {queues * 5:,} bindings")
            for what, seconds in durations(node, queues, arguments.runs).items():
                table.add_row(what, f"{seconds:.1f}")
            Console().print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
