"""Kill the broker, or the worker's processes, while tasks are sent and run, and count what ran.

python bench/running_crash.py  # 20,000 tasks on each kind of queue, both kinds of kill
"""

from __future__ import annotations

import argparse
import sys

import tests_path  # noqa: F401  puts what tests share on the path
from private_nodes import RabbitMQ
from worker_crash import crash


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="tasks on each kind of queue")
    count, bad = parser.parse_args().count, 0
    with RabbitMQ() as node:
        for victim in ("broker", "worker"):
            for queue_type in ("classic", "quorum"):
                found = crash(node, queue_type, count, victim)
                print(f"{victim} killed, {queue_type}: {found}", flush=True)
                bad += len(found.missing) + len(found.strange)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
