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

from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.model.topology import PREDECLARED, Arguments, Exchange, Topology


def definitions(topology: Topology, stamp: Stamp) -> str:
    """The definitions of exchanges, queues, bindings and policies, in the topology's virtual host.

    Without one they go to "/". What RabbitMQ declares itself is left out.

    Raises:
        ValueError: an argument is a float that JSON cannot write: infinity, or not a number.
    """
    vhost = topology.vhost or "/"
    exchanges = [
        {
            "name": exchange.name,
            "vhost": vhost,
            "type": exchange.type,
            "durable": exchange.durable,
            "auto_delete": exchange.auto_delete,
            "internal": exchange.internal,
            "arguments": exchange.arguments,
        }
        for name, exchange in sorted(topology.exchanges.items())
        if name not in PREDECLARED
    ]
    queues = [
        {
            "name": queue.name,
            "vhost": vhost,
            "durable": queue.durable,
            "auto_delete": queue.auto_delete,
            "arguments": queue.arguments,
        }
        for _, queue in sorted(topology.queues.items())
    ]
    bindings = [
        {
            "source": binding.source.name,
            "vhost": vhost,
            "destination": binding.destination.name,
            "destination_type": (
                "exchange" if isinstance(binding.destination, Exchange) else "queue"
            ),
            "routing_key": binding.key,
            "arguments": binding.arguments,
        }
        for binding in topology.bindings
        if binding.source.name  # the default exchange binds every queue by itself
    ]
    policies = [
        {
            "name": policy.name,
            "vhost": vhost,
            "pattern": policy.pattern,
            "apply-to": policy.apply_to,
            "priority": policy.priority,
            "definition": policy.definition,
        }
        for _, policy in sorted(topology.policies.items())
    ]
    sections = {
        "exchanges": exchanges,
        "queues": queues,
        "bindings": sorted(bindings, key=_order),
        **({"policies": policies} if policies else {}),
        "routewright": str(stamp),
    }
    return _encoder(indent=2).encode(sections) + "\n"


def _order(binding: Mapping[str, Any]) -> tuple[str, ...]:
    ends = (binding["source"], binding["destination_type"], binding["destination"])
    return (*ends, binding["routing_key"], _ON_ONE_LINE.encode(binding["arguments"]))


def _plain(value: Arguments) -> object:
    """Any mapping or sequence as json's own."""
    return dict(value) if hasattr(value, "keys") else list(value)


def _encoder(indent: int | None = None) -> json.JSONEncoder:
    return json.JSONEncoder(indent=indent, sort_keys=True, allow_nan=False, default=_plain)


_ON_ONE_LINE = _encoder()
