"""What a broker has, as a topology: read over the management API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from routewright.compiler.broker.changes import Conflict
from routewright.compiler.broker.errors import NotABroker
from routewright.compiler.broker.management import Management
from routewright.compiler.broker.ownership import Owned, is_mark, read
from routewright.compiler.definitions import MalformedDefinitions, read_live
from routewright.compiler.topology import Topology
from routewright.runtime.orders import worker_of


@dataclass(frozen=True, slots=True)
class Counts:
    """What is in a queue and at it; the broker's figures are some seconds old."""

    messages: int = 0
    consumers: int = 0


@dataclass(frozen=True, slots=True)
class Live:
    """A virtual host: its topology without our marks, who owns what, and what lies in the queues.

    `unseen` has sentences about what could not be looked at.
    """

    topology: Topology
    owned: Mapping[str, Owned] = field(default_factory=dict)  # by the owning topology's name
    counts: Mapping[str, Counts] = field(default_factory=dict)  # by the queue's name
    consumers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tags, by the queue's
    exclusive: Collection[str] = ()  # queues that are one connection's own
    unseen: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()  # found without seeing what is there

    @property
    def blind(self) -> bool:
        """Whether bindings and marks could not be seen."""
        return bool(self.unseen)

    def owned_by(self, topology: str) -> Owned:
        return self.owned.get(topology, Owned())

    def workers_of(self, queue: str) -> tuple[int, int]:
        """How many consumers of a queue are workers that can be told to move, and how many not."""
        tags = self.consumers.get(queue, ())
        workers = sum(worker_of(it) is not None for it in tags)
        return workers, len(tags) - workers

    def counts_of(self, queue: str) -> Counts:
        return self.counts.get(queue, Counts())


_THE_BROKERS = "amq.rabbitmq."  # where it publishes logs and traces
_ENDS = "source,vhost,destination,destination_type,routing_key,arguments"
_COLUMNS = "name,durable,auto_delete,exclusive,arguments,messages,consumers,state"


def look(api: Management) -> Live:
    """Everything in a virtual host.

    Raises:
        BrokerError: the API cannot be asked, or does not say.
    """
    vhost = api.where.vhost
    queues = [*api.pages("queues", columns=_COLUMNS)]
    exchanges = [it for it in api.of_vhost("exchanges") if not it["name"].startswith(_THE_BROKERS)]
    bindings = [it for it in api.of_vhost("bindings", columns=_ENDS) if it["source"]]
    marks = [(it["source"], it["routing_key"]) for it in bindings if is_mark(it["source"])]
    names = [it["name"] for it in exchanges]
    sections = {
        "exchanges": [_within(vhost, it) for it in exchanges if not is_mark(it["name"])],
        "queues": [_within(vhost, it) for it in queues],
        "bindings": [it for it in bindings if not is_mark(it["source"])],
        "policies": api.of_vhost("policies"),
        "parameters": [
            {"component": "operator_policy", "vhost": vhost, "name": it["name"], "value": it}
            for it in api.of_vhost("operator-policies")
        ],
    }
    try:
        topology = read_live(str(api.where), sections, vhost)
    except MalformedDefinitions as error:
        raise NotABroker(str(error)) from None
    return Live(
        topology,
        read(names, marks),
        {it["name"]: Counts(it.get("messages") or 0, it.get("consumers") or 0) for it in queues},
        _tags(api),
        frozenset(it["name"] for it in queues if it.get("exclusive")),
    )


def _tags(api: Management) -> dict[str, tuple[str, ...]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for it in api.of_vhost("consumers", columns="queue.name,consumer_tag"):
        found[it["queue"]["name"]].append(it["consumer_tag"])
    return {queue: tuple(tags) for queue, tags in found.items()}


def _within(vhost: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the API as definitions have it."""
    return {**item, "vhost": vhost, "arguments": item.get("arguments") or {}}
