"""RabbitMQ nodes and Redis servers of one's own, for tests and benchmarks.

Each has its own ports, data and (RabbitMQ) epmd and cookie, so it may be stopped, killed or starved
without anybody else noticing. Nothing here imports pytest; a program outside the tests finds this
package with `tests/nodes` on its path:

    PYTHONPATH=tests/nodes .venv/bin/python bench/some_program.py
"""

from private_nodes.broker import Broker
from private_nodes.cable import Cable
from private_nodes.node import Node, NodeFailed
from private_nodes.rabbitmq import CtlFailed, ManagementFailed, RabbitMQ
from private_nodes.redis import Redis
from private_nodes.release import Release, trees
from private_nodes.waiting import until

__all__ = [
    "Broker",
    "Cable",
    "CtlFailed",
    "ManagementFailed",
    "Node",
    "NodeFailed",
    "RabbitMQ",
    "Redis",
    "Release",
    "trees",
    "until",
]
