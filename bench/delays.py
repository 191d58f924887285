"""How late delayed messages are, on a RabbitMQ of its own: by quorum and by classic queues."""

from __future__ import annotations

import argparse
import random
import time
from datetime import timedelta
from statistics import median
from typing import Any

import tests_path  # noqa: F401  puts what tests share on the path
from kombu.connection import Connection
from private_nodes import RabbitMQ
from rich.console import Console
from rich.table import Table

from routewright.compiler import compile_text
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.lowering.delays import ladder_for_runtime, with_delays

TOPOLOGY = """
topology: late
target: {target}
delays: {{resolution: {resolution}ms, max: 30d}}
exchanges: {{tasks: {{type: topic}}}}
queues: {{work: {{exchange: tasks, binding_key: "work.#"}}}}
tasks: {{late.Work: {{exchange: tasks, routing_key: work.do}}}}
"""
TARGETS = {"quorum": "rabbitmq-3.10", "classic": "rabbitmq-3.9"}
PATIENCE = 60.0  # seconds after the last is due


def main() -> None:
    """Send messages with random delays, all at once, and print how late they came."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="messages")
    parser.add_argument("--longest", type=float, default=4.0, help="seconds of the longest delay")
    parser.add_argument("--resolution", type=int, default=100, help="milliseconds")
    asked = parser.parse_args()
    table = Table("queues", "arrived", "earliest", "median", "99 of 100", "latest")
    for kind, target in TARGETS.items():
        with RabbitMQ() as node:
            text = TOPOLOGY.format(target=target, resolution=asked.resolution)
            late = sorted(_late(node.url(), text, asked.count, asked.longest))
        shown = (late[0], median(late), late[len(late) * 99 // 100], late[-1])
        arrived = f"{len(late)} of {asked.count}"
        table.add_row(kind, arrived, *(f"{it * 1000:.0f} ms" for it in shown))
    Console().print(table)


def _late(url: str, text: str, count: int, longest: float) -> list[float]:
    """How many seconds after its time each message came."""
    topology = compile_text(text).topology
    ladder = ladder_for_runtime(topology) if topology else None
    if topology is None or ladder is None:
        raise SystemExit("the topology has errors")
    apply_topology(with_delays(topology), url, timeout=60)
    chance = random.Random(1)
    due: dict[str, float] = {}
    late: list[float] = []
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        channel: Any = connection.default_channel
        channel.basic_consume(
            "work", no_ack=True, callback=lambda it: late.append(time.time() - due[it.body])
        )
        producer = connection.Producer()
        for number in range(count):
            delay = chance.uniform(0.001, longest)
            exchange, key = ladder.address("tasks", "work.do", timedelta(seconds=delay))
            due[str(number)] = time.time() + delay
            producer.publish(str(number), exchange=exchange, routing_key=key, mandatory=True)
        deadline = max(due.values()) + PATIENCE
        while len(late) < count and time.time() < deadline:
            connection.drain_events(timeout=PATIENCE)
    return late


if __name__ == "__main__":
    main()
