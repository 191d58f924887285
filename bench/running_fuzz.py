"""Feed a worker messages that are wrong in every way, and account for each of them.

python bench/running_fuzz.py  # 10,000 messages
"""

from __future__ import annotations

import argparse
import sys

import tests_path  # noqa: F401  puts what tests share on the path
from message_fuzz import fuzz
from private_nodes import RabbitMQ


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with RabbitMQ() as node:
        account = fuzz(node, chosen.seed, chosen.count)
    print(account)
    return 0 if account.is_settled else 1


if __name__ == "__main__":
    sys.exit(main())
