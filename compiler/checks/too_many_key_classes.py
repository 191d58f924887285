from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys import key_classes as keyspace
from routewright.compiler.keys.header_sets import Undecidable
from routewright.compiler.keys.patterns import Undecided
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def too_many_key_classes(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """The bindings behind an exchange tell too many keys or headers apart to look at all of them.

    Patterns with wildcards before their words, by the thousand, can do that, and so can bindings
    that ask for a dozen headers or for hundreds of values. What is said of all keys is then not
    said of this exchange; the tasks' own keys are still followed one by one.
    """
    for exchange in sorted({task.exchange.name for task in topology.tasks.values()} - {""}):
        try:
            routing.destinations(exchange)
            routing.destinations_by_headers(exchange)
        except Undecided:
            yield _too_many(
                topology,
                exchange,
                f"the keys of exchange `{exchange}` fall into more than "
                f"{keyspace.MAX_STATES:,} classes",
                "begin binding keys with words rather than wildcards",
            )
        except Undecidable as error:
            yield _too_many(
                topology,
                exchange,
                f"the bindings behind exchange `{exchange}` tell {error} apart",
                "let bindings ask for fewer headers, or send by keys",
            )


def _too_many(topology: Topology, exchange: str, what: str, way_out: str) -> Diagnostic:
    declared = topology.exchanges.get(exchange)
    return warning(
        "too-many-key-classes",
        f"{what}; whether work queues overlap is undecided",
        declared.origin.key_span() if declared else None,
        help=way_out,
    )
