"""Plans between random topologies: every moment of each, looked at by brute force."""

from __future__ import annotations

import argparse
import sys
import time

import tests_path  # noqa: F401  puts what tests share on the path
from plan_states import Examined, examine, examine_changed_mind, examine_killed, naive
from rich.console import Console
from rich.table import Table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--killed", type=int, default=200, help="pairs killed after every step")
    parser.add_argument(
        "--changed", type=int, default=200, help="pairs killed, and then something else wanted"
    )
    arguments = parser.parse_args()
    examined, started = Examined(), time.monotonic()
    for number in range(arguments.pairs):
        examine(arguments.seed * 1_000_000 + number, examined)
        naive(arguments.seed * 1_000_000 + number, examined)
    for number in range(arguments.killed):
        examine_killed(arguments.seed * 1_000_000 + number, examined)
    for number in range(arguments.changed):
        examine_changed_mind(arguments.seed * 1_000_000 + number, examined)
    table = Table("what", "count", title=f"{examined.plans:,} random pairs")
    table.add_row("states simulated", f"{examined.states:,}")
    table.add_row("applies killed after one step, and started again", f"{examined.starts:,}")
    table.add_row("messages sent to every state of their plan", f"{examined.looked_at:,}")
    for what, count in sorted(examined.met.items()):
        table.add_row(what, f"{count:,}")
    table.add_row("messages gone wrong unsaid", f"{len(examined.wrong):,}")
    table.add_row("lost by the order that removes first", f"{examined.lost:,}")
    table.add_row("doubled by the order that adds first", f"{examined.doubled:,}")
    table.add_row("seconds", f"{time.monotonic() - started:.0f}")
    Console().print(table)
    for line in examined.wrong[:10]:
        print(line)
    return 1 if examined.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
