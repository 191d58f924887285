"""Carve-outs: some keys of a queue go to a queue of their own, and to that one alone.

Binding a second queue to `image.crop` gives it a copy of what the queue bound to `image.#` gets
still, so that the task runs twice. A carve-out becomes a front exchange instead, whose alternate
exchange is the original one: carved keys match there and go no further, all others fall through.
Whatever else the original exchange does with the carved keys, such as copies for taps, is bound to
the front as well. Publishers that know only the original exchange reach the original queue, as
before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import (
    Pattern,
    Undecided,
    covers,
    intersects,
    topic,
    witness,
)
from routewright.compiler.model.task_keys import keys_of
from routewright.compiler.model.topology import Binding, CarveOut, Exchange, Task, Topology
from routewright.compiler.routing.delivery import Delivery, Outcome
from routewright.compiler.routing.matching import pattern_of
from routewright.compiler.routing.routing import Routing, headers_of


def carve(topology: Topology) -> tuple[Topology, list[Diagnostic]]:
    """The topology with exchanges in place of its carve-outs, each proved to do what it says."""
    by_exchange: defaultdict[str, list[CarveOut]] = defaultdict(list)
    for carve_out in topology.carve_outs:
        by_exchange[carve_out.exchange.name].append(carve_out)
    carved, found = topology, []
    for carve_outs in by_exchange.values():
        try:
            problems = list(_problems(topology, carve_outs))
            if not problems:
                lowered = _lowered(carved, carve_outs)
                problems = list(_disproved(topology, lowered, carve_outs))
                carved = lowered
        except Undecided as error:
            problems = [_refused(carve_outs[0], f"nothing can be proved: {error}")]
        found += problems
    return carved, found or list(_ways_round(carved))


def fronts(topology: Topology) -> dict[str, str]:
    """The exchanges that were carved, each with the one that stands in front of it."""
    carved = {it.exchange.name: it.exchange for it in topology.carve_outs}
    return {name: _front(exchange).name for name, exchange in sorted(carved.items())}


def _front(exchange: Exchange) -> Exchange:
    arguments = {"alternate-exchange": exchange.name}
    return Exchange(f"{exchange.name}.front", "topic", exchange.durable, arguments=arguments)


def _problems(topology: Topology, carve_outs: list[CarveOut]) -> Iterator[Diagnostic]:
    """What keeps carve-outs of an exchange from becoming bindings of a front exchange."""
    exchange = carve_outs[0].exchange
    if exchange.type not in ("direct", "topic", "fanout") or not exchange.name:
        yield _refused(
            carve_outs[0],
            f"a {exchange.type} exchange decides by more than keys"
            if exchange.name
            else "the default exchange cannot be stood in front of",
        )
    if _front(exchange).name in topology.exchanges:
        yield _refused(carve_outs[0], f"the name `{_front(exchange).name}` is taken")
    for carve_out in carve_outs:
        for binding in _others(topology, carve_out):
            if _bound_to_front(binding, carve_out) is None:
                key = witness([topic(carve_out.key), _keys(binding)])
                yield _refused(
                    carve_out,
                    f"`{binding.key}` leads a part of these keys, such as `{key}`, to "
                    f"`{binding.destination.name}`, and no binding key says just that part",
                    key,
                    binding,
                )


def _lowered(topology: Topology, carve_outs: list[CarveOut]) -> Topology:
    exchange = carve_outs[0].exchange
    front = _front(exchange)
    bindings: dict[object, Binding] = {}
    for carve_out in carve_outs:
        new = [Binding(front, carve_out.queue, carve_out.key, origin=carve_out.origin)]
        for binding in _others(topology, carve_out):
            key = _bound_to_front(binding, carve_out)
            if key is not None:
                new.append(replace(binding, source=front, key=key))
        bindings.update({binding.identity: binding for binding in new})

    def sent(task: Task) -> Task:
        ours = task.exchange == exchange and any(
            witness([topic(it.key), keys.within], keys.apart) is not None
            for it in carve_outs
            for keys in keys_of(task)
        )
        return replace(task, exchange=front) if ours else task

    return replace(
        topology,
        exchanges={**topology.exchanges, front.name: front},
        bindings=(*topology.bindings, *bindings.values()),
        tasks={name: sent(task) for name, task in topology.tasks.items()},
    )


def _others(topology: Topology, carve_out: CarveOut) -> list[Binding]:
    """What else the original exchange does with some of the carved keys."""
    return [
        binding
        for binding in topology.bindings
        if binding.source == carve_out.exchange
        and binding.destination is not carve_out.original
        and intersects(_keys(binding), topic(carve_out.key))
    ]


def _bound_to_front(binding: Binding, carve_out: CarveOut) -> str | None:
    """The binding key that says which of the carved keys a binding leads on, if there is one."""
    if covers([_keys(binding)], topic(carve_out.key)):
        return carve_out.key
    if covers([topic(carve_out.key)], _keys(binding)) and topic(binding.key) == _keys(binding):
        return binding.key
    return None


def _keys(binding: Binding) -> Pattern:
    pattern = pattern_of(binding, {})
    return () if pattern is None else pattern


def _disproved(
    before: Topology, after: Topology, carve_outs: list[CarveOut]
) -> Iterator[Diagnostic]:
    """The smallest key, if any, that does not go where the carve-outs say."""
    exchange = carve_outs[0].exchange.name
    front = _front(carve_outs[0].exchange).name
    old, new = Routing(before), Routing(after)
    table: PatternTable[CarveOut | tuple[bool, Binding]] = PatternTable()
    for carve_out in carve_outs:
        table.add(topic(carve_out.key), carve_out)
    for is_new, routing, start in ((False, old, exchange), (True, new, front)):
        for pattern, binding in routing.graph.cone(start, {}):
            table.add(pattern, (is_new, binding))
    for found in key_classes(table):
        carved = [it for it in found.values if isinstance(it, CarveOut)]
        bound = [it for it in found.values if not isinstance(it, CarveOut)]
        was = old.deliver(exchange, [it for is_new, it in bound if not is_new])
        now = new.deliver(front, [it for is_new, it in bound if is_new])
        wrong = _what_is_wrong(carved, was, now)
        if wrong:
            yield _refused(carved[0] if carved else carve_outs[0], wrong, found.witness)
            return


def _ways_round(topology: Topology) -> Iterator[Diagnostic]:
    """The carve-outs that a task of the file gets round: by an exchange before the carved one."""
    routing, in_front = Routing(topology), set(fronts(topology).values())
    tasks = [it for it in topology.tasks.values() if it.exchange.name not in in_front]
    for carve_out in topology.carve_outs:
        carved, original = carve_out.exchange.name, carve_out.original.name
        for task in tasks:
            try:
                key = _still_comes(routing, task, carve_out)
            except Undecided as error:
                yield _refused(carve_out, f"nothing can be proved: {error}")
                break
            if key is not None:
                yield _refused(
                    carve_out,
                    f"task `{task.name}` is sent to exchange `{task.exchange.name}`, from where "
                    f"`{carved}` leads them to `{original}` still",
                    key,
                    way_out=f"send the task to exchange `{carved}`",
                )
                break


def _still_comes(routing: Routing, task: Task, carve_out: CarveOut) -> str | None:
    """A carved key of a task that reaches the original queue, if there is one."""
    step = carve_out.exchange.name, carve_out.original.name
    for keys in keys_of(task):
        within = [topic(carve_out.key), keys.within]
        headers = headers_of(task)
        for key, delivery in routing.classes(task.exchange.name, within, headers, keys.apart):
            queues = (hop for hop in delivery.hops if hop.destination is carve_out.original)
            if step in ((hop.exchange, hop.destination.name) for hop in queues):
                return key
    return None


def _what_is_wrong(carved: list[CarveOut], before: Delivery, after: Delivery) -> str | None:
    if len(carved) > 1:
        names = " and ".join(f"`{it.queue.name}`" for it in carved)
        return f"{names} are carved out of the same keys"
    if not carved:
        same = before.reach == after.reach and before.outcome == after.outcome
        return None if same else "keys that are not carved out would go elsewhere"
    if {before.outcome, after.outcome} & {Outcome.ONE_OF, Outcome.UNDECIDED}:
        return "an exchange of a plugin's type decides where these keys go"
    was, now = set(before.queues), set(after.queues)
    (carve_out,) = carved
    if carve_out.original.name not in was:
        return f"`{carve_out.original.name}` does not get all of these keys"
    if now != was - {carve_out.original.name} | {carve_out.queue.name}:
        return "a carved key would reach other queues than it should"
    return None


def _refused(
    carve_out: CarveOut,
    why: str,
    key: str | None = None,
    binding: Binding | None = None,
    way_out: str = "carve out fewer keys, or keys that the original queue gets",
) -> Diagnostic:
    shown = f" (`{key}`)" if key is not None and binding is None else ""
    notes = (
        (Note(f"`{binding.key}` stands here", binding.origin.span("binding_key")),)
        if binding
        else ()
    )
    return Diagnostic(
        "impossible-carve-out",
        f"`{carve_out.key}` cannot be carved out of `{carve_out.original.name}`: {why}{shown}",
        carve_out.origin.span("binding_key"),
        help=way_out,
        notes=notes,
        witness=key,
    )
