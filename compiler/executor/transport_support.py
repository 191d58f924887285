"""What transports cannot do for which kombu plays the broker; told before anything is declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from routewright.compiler.broker.errors import Unsupported
from routewright.compiler.model.topology import PREDECLARED, Exchange, Topology


def require_support(topology: Topology, channel: Any, transport: str) -> None:
    """Refuse a topology that a virtual transport would misunderstand.

    Raises:
        Unsupported: one line that names everything the transport lacks.
    """
    lacking = [*_lacking(topology, channel)]
    if lacking:
        raise Unsupported(f"the transport `{transport}` has no {', no '.join(lacking)}")


def _lacking(topology: Topology, channel: Any) -> Iterator[str]:
    # What a transport advertises is not what it does: memory names "headers" and lacks it.
    types = {*channel.exchange_types} - ({"fanout"} if not channel.supports_fanout else set())
    for name, exchange in sorted(topology.exchanges.items()):
        if name not in PREDECLARED and exchange.type not in types:
            yield f"exchange type `{exchange.type}` (exchange `{name}`)"
    for binding in topology.bindings:
        source, destination = binding.source.name, binding.destination
        if isinstance(destination, Exchange):
            yield f"bindings of exchanges (`{destination.name}` to `{source}`)"
        elif source in PREDECLARED and source:
            yield f"predeclared exchange `{source}`"
