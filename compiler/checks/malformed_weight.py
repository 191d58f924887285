from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.rabbitmq.exchange_types import CONSISTENT_HASH
from routewright.compiler.routing.routing import Routing


def malformed_weight(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A binding key of an `x-consistent-hash` exchange is not a whole number above 0.

    There the key is the weight of the binding: with 2 a queue gets about twice the messages that it
    would get with 1. The broker refuses any other key with 406.
    """
    for binding in topology.bindings:
        if binding.source.routes_as == CONSISTENT_HASH and not _is_weight(binding.key):
            yield Diagnostic(
                "malformed-weight",
                f"the binding key `{binding.key}` is not a weight, as the {CONSISTENT_HASH} "
                f"exchange `{binding.source.name}` wants it",
                binding.origin.span("binding_key"),
                help='write `binding_key: "1"`, the same everywhere for equal shares',
            )


def _is_weight(key: str) -> bool:
    digits = key.removeprefix("+")
    return digits.isascii() and digits.isdigit() and digits.strip("0") != ""
