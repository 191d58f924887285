"""`definitions.json`: the topology as RabbitMQ's own importer takes it.

That is `rabbitmqctl import_definitions`, `POST /api/definitions` or `load_definitions` in the
server's configuration. The importer skips the stamp, which is none of its sections.

It reads every whole number as one of 64 bits, where py-amqp sends 32 if they do. In a queue's
arguments the broker takes both for the same; in those of a headers binding it does not, so that
importing and then applying makes a second, redundant binding of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from routewright.compiler.definitions import rows
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.model.topology import PREDECLARED, Topology


def definitions(topology: Topology, stamp: Stamp) -> str:
    """The definitions of exchanges, queues, bindings and policies, in the topology's virtual host.

    Without one they go to "/". What RabbitMQ declares itself is left out.

    Raises:
        ValueError: an argument is a float that JSON cannot write: infinity, or not a number.
    """
    vhost = {"vhost": topology.vhost or "/"}
    policies = [
        {**rows.write_policy(policy), **vhost} for _, policy in sorted(topology.policies.items())
    ]
    bindings = [
        {**rows.write_binding(binding), **vhost}
        for binding in topology.bindings
        if binding.source.name  # the default exchange binds every queue by itself
    ]
    sections: dict[str, Any] = {
        "exchanges": [
            {**rows.write_exchange(exchange), **vhost}
            for name, exchange in sorted(topology.exchanges.items())
            if name not in PREDECLARED
        ],
        "queues": [
            {**rows.write_queue(queue), **vhost} for _, queue in sorted(topology.queues.items())
        ],
        "bindings": sorted(bindings, key=_order),
        **({"policies": policies} if policies else {}),
        "routewright": str(stamp),
    }
    return _encoder(indent=2).encode(sections) + "\n"


def _order(binding: Mapping[str, Any]) -> tuple[str, ...]:
    ends = (binding["source"], binding["destination_type"], binding["destination"])
    return (*ends, binding["routing_key"], _ON_ONE_LINE.encode(binding["arguments"]))


def _encoder(indent: int | None = None) -> json.JSONEncoder:
    return json.JSONEncoder(indent=indent, sort_keys=True, allow_nan=False, default=rows.plain)


_ON_ONE_LINE = _encoder()
