from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, warning
from routewright.compiler.keys.patterns import Undecided
from routewright.compiler.model.task_keys import placeholders
from routewright.compiler.model.topology import Task, Topology
from routewright.compiler.routing.delivery import Delivery, Outcome, Witness
from routewright.compiler.routing.routing import Routing

_MOST_NOTES = 5


def undecided_route(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task's message, or one that its exchange may get, meets a type that nothing is known of.

    How an exchange of a plugin's type routes is the plugin's business. Nothing can be promised of
    a task behind one: it may reach any of the queues bound there, several of them, or none. Of
    `x-delayed-message`, `x-recent-history`, `x-consistent-hash`, `x-random` and `x-modulus-hash`
    it is known, unless they stand so one behind another that there are too many ways to go.
    """
    told: set[str] = set()
    for task in topology.tasks.values():
        undecided = [it for _, it in routing.deliveries_of(task) if it.outcome is Outcome.UNDECIDED]
        if undecided:
            told.add(task.exchange.name)
            yield _undecided(
                f"where task `{task.name}` goes cannot be known: there is an exchange of a "
                "plugin's type on its way, or its key may be too many things",
                task,
                task.routing_key,
                undecided,
                topology,
            )
    for exchange, task in {it.exchange.name: it for it in topology.tasks.values()}.items():
        witness = next(_undecided_keys(exchange, routing), None)
        if witness is not None and exchange not in told:
            yield _undecided(
                f"where {witness.shown} on exchange `{exchange}` goes cannot be known: there is an "
                "exchange of a plugin's type on its way",
                task,
                witness.key,
                [witness.delivery],
                topology,
            )


def _undecided_keys(exchange: str, routing: Routing) -> Iterator[Witness]:
    # Too many keys are said by `too_many_key_classes`.
    with suppress(Undecided):
        for witness in routing.destinations(exchange):
            if witness.delivery.outcome is Outcome.UNDECIDED:
                yield witness


def _undecided(
    message: str, task: Task, key: str, deliveries: Iterable[Delivery], topology: Topology
) -> Diagnostic:
    may_reach = sorted({name for it in deliveries for name in it.may_reach})
    return warning(
        "undecided-route",
        message,
        task.exchange_span,
        help="use an exchange of the broker's own types where that will do",
        notes=tuple(
            Note(f"it may reach queue `{name}`", topology.queues[name].origin.key_span())
            for name in may_reach[:_MOST_NOTES]
        ),
        witness=None if placeholders(key) else key,
    )
