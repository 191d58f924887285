"""A virtual host of a test's own on a shared node."""

from dataclasses import dataclass
from typing import Any

from private_nodes.rabbitmq import RabbitMQ


@dataclass(frozen=True)
class Broker:
    """What most tests want of a broker: somewhere to declare, and a look at what is there."""

    node: RabbitMQ
    vhost: str

    @property
    def url(self) -> str:
        return self.node.url(self.vhost)

    def bindings(self) -> list[dict[str, Any]]:
        return self.node.list_bindings(self.vhost)

    def queues(self, *columns: str) -> list[dict[str, Any]]:
        return self.node.list_queues(self.vhost, *columns)
