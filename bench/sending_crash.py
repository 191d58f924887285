"""Kill the broker under senders, and compare what it has afterwards with what they were told.

python bench/sending_crash.py  # 20,000 sends on a classic queue, and as many on a quorum queue
"""

from __future__ import annotations

import argparse
import sys

import tests_path  # noqa: F401  puts what tests share on the path
from private_nodes import RabbitMQ
from sender_crash import crash


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="sends on each kind of queue")
    count = parser.parse_args().count
    missing = 0
    with RabbitMQ() as node:
        for queue_type in ("classic", "quorum"):
            found = crash(node, queue_type, count)
            print(f"{queue_type}: {found}", flush=True)
            missing += len(found.missing) + len(found.strange)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
