from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler import keyspace
from routewright.compiler.diagnostics import Diagnostic, Severity
from routewright.compiler.patterns import Undecided
from routewright.compiler.routing import Routing
from routewright.compiler.topology import Topology


def too_many_key_classes(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """The bindings behind an exchange tell so many keys apart that not all are looked at.

    Patterns with wildcards before their words, by the thousand, can do that. What is said of all
    keys is then not said of this exchange; the tasks' own keys are still followed one by one.
    """
    for exchange in sorted({task.exchange.name for task in topology.tasks.values()} - {""}):
        try:
            routing.destinations(exchange)
        except Undecided:
            declared = topology.exchanges.get(exchange)
            yield Diagnostic(
                "too-many-key-classes",
                f"the keys of exchange `{exchange}` fall into more than "
                f"{keyspace.MAX_STATES:,} classes; whether work queues overlap is undecided",
                declared.origin.key_span() if declared else None,
                help="begin binding keys with words rather than wildcards",
                severity=Severity.WARNING,
            )
