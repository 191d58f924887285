"""`router.py`: the exact table from task to route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields

from routewright.compiler.emit.literal import Call
from routewright.compiler.emit.render import import_from, render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.lowering.carving import fronts
from routewright.compiler.lowering.delays import ladder_for_runtime
from routewright.compiler.model.task_keys import TASK, all_listed, placeholders
from routewright.compiler.model.topology import Binding, Queue, Task, Topology
from routewright.compiler.routing.routing import Routing
from routewright.runtime.router.delay_ladder import DelayLadder
from routewright.runtime.router.exchanges import Criterion, Exchange
from routewright.runtime.router.retry_policy import RetryPolicy
from routewright.runtime.router.route import Group, Route, accepted, readers


def router(topology: Topology, stamp: Stamp, routing: Routing) -> str:
    """The module of the compiled routes."""
    groups = [
        Group(
            name,
            tuple(queue.name for queue in group.queues),
            group.concurrency,
            group.prefetch,
            group.accept,
            group.processes,
        )
        for name, group in sorted(topology.groups.items())
    ]
    tasks, reads = topology.tasks, readers(groups)
    names = sorted(name for name, task in tasks.items() if not task.is_pattern)
    exact = [_route(tasks[name], routing, reads) for name in names]
    patterns = [_route(tasks[name], routing, reads) for name in _patterns(tasks)]
    known = list(exchanges(topology, routing))
    delays = ladder_for_runtime(topology)
    values = (*exact, *patterns, *groups, *known, *([delays] if delays else []))
    imports = {"Router", *(type(value).__name__ for value in values)}
    if any(task.retry for task in tasks.values()):
        imports.add("RetryPolicy")
    return render(
        "router.py",
        stamp=stamp,
        topology=topology,
        imports=import_from("routewright.runtime.router", imports),
        routes=tuple(map(_construction, exact)),
        patterns=tuple(map(_construction, patterns)),
        groups=tuple(map(_construction, groups)),
        exchanges=tuple(map(_construction, known)),
        queues=tuple(sorted(topology.queues)),
        taps=tuple(sorted(name for name, queue in topology.queues.items() if queue.tap)),
        fronts=fronts(topology),
        delays=delays and _construction(delays),
        parking=topology.parking and topology.parking.name,
        rejecting=_rejecting(topology),
        limited=_limited(topology),
    )


def _rejecting(topology: Topology) -> tuple[str, ...]:
    """The queues that dead-letter what their workers cannot deal with, where nothing is parked."""
    if topology.parking is not None:
        return ()
    queues = topology.queues.values()
    return tuple(sorted(it.name for it in queues if it.dead_letter_exchange is not None))


def _limited(topology: Topology) -> tuple[str, ...]:
    """The queues with a delivery limit of their own, which is then the broker's to apply."""
    queues = topology.queues.values()
    return tuple(sorted(it.name for it in queues if "x-delivery-limit" in it.effective))


def _patterns(tasks: Mapping[str, Task]) -> list[str]:
    """The names that are patterns, each after those that take names away from it."""
    patterns = [task for task in tasks.values() if task.is_pattern]
    return [it.name for it in sorted(patterns, key=lambda it: (len(it.narrower), it.name))]


def exchanges(topology: Topology, routing: Routing) -> Iterator[Exchange]:
    """The exchanges that are declared, and those of the broker's own that are bound."""
    bound = (it.source for it in topology.bindings)
    fallen_back = (it for it in topology.every_exchange() if it.alternate_exchange is not None)
    for exchange in sorted(
        {it.name: it for it in (*topology.exchanges.values(), *bound, *fallen_back)}.values(),
        key=lambda it: it.name,
    ):
        to_queues: dict[str, tuple[Criterion, str]] = {}
        to_exchanges: dict[str, tuple[Criterion, str]] = {}
        for binding in routing.graph.bindings_from(exchange.name):
            kind = to_queues if isinstance(binding.destination, Queue) else to_exchanges
            pair = _criterion(binding), binding.destination.name
            kind[repr(pair)] = pair
        yield Exchange(
            exchange.name,
            exchange.routes_as,
            tuple(pair for _, pair in sorted(to_queues.items())),
            tuple(pair for _, pair in sorted(to_exchanges.items())),
            exchange.alternate_exchange,
            exchange.internal,
        )


def _criterion(binding: Binding) -> Criterion:
    """What of a binding its exchange looks at."""
    match binding.source.routes_as:
        case "headers":
            return binding.arguments
        case "direct" | "topic":
            return binding.key
        case _:
            return ""


def _route(task: Task, routing: Routing, reads: Mapping[str, list[Group]]) -> Route:
    queues = routing.topology.queues
    wanted = tuple(it for it in placeholders(task.routing_key) if it != TASK)
    ways = routing.deliveries_of(task)
    by_key: dict[str, tuple[str, ...]] = {}
    if wanted and all_listed(task) and len({key for key, _ in ways}) == len(ways):
        by_key = {key: delivery.queues for key, delivery in ways}
    return Route(
        task.name,
        exchange=task.exchange.name,
        routing_key=task.routing_key,
        queues=routing.reach(task),
        headers=task.headers,
        priority=task.priority,
        serializer=task.serializer,
        mandatory=task.mandatory,
        immediate=task.immediate,
        ignore_result=task.ignore_result,
        expires=task.expires,
        taps=tuple(name for name in routing.reach(task) if queues[name].tap),
        parameters={name: task.parameters.get(name, ()) for name in wanted},
        queues_by_key=by_key,
        accepted=accepted(routing.reach(task), reads),
        multicast=task.multicast,
        retry=task.retry,
        early=task.early,
        soft_time_limit=task.soft_time_limit,
        time_limit=task.time_limit,
        varies=not by_key and len({it.queues for _, it in ways}) > 1,
    )


def _construction(value: Route | Group | Exchange | DelayLadder) -> Call:
    """The call that makes a value; what equals its default is left out."""
    given = {field.name: getattr(value, field.name) for field in fields(value)}
    first, *rest = fields(value)
    keywords: dict[str, object] = {
        field.name: given[field.name] for field in rest if given[field.name] != _default(field)
    }
    if isinstance(value, Route) and value.retry is not None:
        keywords["retry"] = _retry(value.retry)
    return Call(type(value).__name__, [given[first.name]], keywords, tall=True)


def _retry(policy: RetryPolicy) -> Call:
    given = {it.name: getattr(policy, it.name) for it in fields(policy)}
    return Call("RetryPolicy", keywords=given)


def _default(field: Field[object]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()
