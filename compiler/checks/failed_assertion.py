from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from itertools import chain

from routewright.compiler.analysis.paths import paths
from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys.header_sets import Undecidable, all_headers, printed
from routewright.compiler.keys.patterns import Undecided, topic
from routewright.compiler.model.topology import Assertion, Topology
from routewright.compiler.routing.delivery import Delivery, Outcome, Witness
from routewright.compiler.routing.routing import Routing

_MOST_NOTES = 5


def failed_assertion(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """An assertion of the file does not hold.

    The claim is followed for every key that it speaks of, and with every combination of headers
    that some binding tells apart. The key shown is the smallest that breaks it. Where an answer
    would take looking at more classes of keys than is sensible, or an exchange of a plugin's type
    is on the way, the assertion is called undecided, which is a warning.
    """
    for assertion in topology.assertions:
        try:
            broken = next(_broken(assertion, topology, routing), None)
        except (Undecided, Undecidable) as error:
            yield _undecided(assertion, str(error))
            continue
        if broken is None:
            continue
        key, delivery = broken.key, broken.delivery
        if delivery.outcome is Outcome.UNDECIDED:
            yield _undecided(assertion, f"{broken.shown} meets an exchange of a plugin's type")
            continue
        queues = ", ".join(f"`{name}`" for name in delivery.queues) or "no queue"
        yield Diagnostic(
            "failed-assertion",
            f"{broken.shown} on exchange `{assertion.exchange.name}` reaches {queues}, "
            f"{_but(assertion)}",
            assertion.origin.span(assertion.claim),
            help=f"`explain {_arguments(assertion, broken)}` shows the way",
            notes=tuple(paths(assertion.exchange.name, delivery, delivery.queues[:_MOST_NOTES])),
            witness=key,
            headers=broken.headers,
        )


def _broken(assertion: Assertion, topology: Topology, routing: Routing) -> Iterator[Witness]:
    """The messages that break an assertion, or of which nothing is known; smaller ones first."""
    tables = [it.arguments for it in topology.bindings if it.source.routes_as == "headers"]
    for headers in all_headers(tables):
        for keys in assertion.keys:
            for key, delivery in routing.classes(assertion.exchange.name, [topic(keys)], headers):
                if delivery.outcome is Outcome.UNDECIDED or not _holds(assertion, delivery):
                    yield Witness(key, delivery, headers)


def _holds(assertion: Assertion, delivery: Delivery) -> bool:
    named = {queue.name for queue in assertion.queues}
    reached = set(delivery.queues)
    match assertion.claim:
        case "reach":
            return reached == named
        case "never":
            return not reached & named
        case "routable":
            return bool(reached)
        case "never_both":
            return len(reached & named) <= 1


def _but(assertion: Assertion) -> str:
    names = ", ".join(f"`{queue.name}`" for queue in assertion.queues)
    match assertion.claim:
        case "reach":
            return f"and should reach just {names or 'none'}"
        case "never":
            return f"and should never reach {names}"
        case "routable":
            return "and should reach one"
        case "never_both":
            return f"and should reach no two of {names}"


def _arguments(assertion: Assertion, broken: Witness) -> str:
    """What to ask `explain` for, as one would write it in a shell."""
    headers = (
        f"{name}={it if isinstance(it, str) else json.dumps(it)}"
        for name, it in printed(broken.headers).items()
    )
    options = chain.from_iterable(("--header", it) for it in headers)
    return shlex.join([broken.key, "--exchange", assertion.exchange.name, *options])


def _undecided(assertion: Assertion, why: str) -> Diagnostic:
    return warning(
        "failed-assertion",
        f"whether this holds is undecided: {why}",
        assertion.origin.span(assertion.claim),
        help="narrow the keys that it speaks of",
    )
