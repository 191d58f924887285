"""Random pairs of topologies, the second of which somebody made of the first."""

from __future__ import annotations

import random
from dataclasses import replace

from random_topologies import WORDS, random_headers, random_topology

from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue, Topology


def random_pair(seed: int) -> tuple[Topology, Topology]:
    """A topology, and what became of it by a few edits; both have the same name."""
    randomly = random.Random(seed)
    old = _with_policies(random_topology(randomly, "t"), randomly)
    return old, edited(old, randomly)


def edited(old: Topology, randomly: random.Random) -> Topology:
    """What becomes of a topology by a few edits."""
    new = old
    for _ in range(randomly.randint(1, 4)):
        edit = randomly.choice(
            (_another_way, _another_way, _more, _fewer, _another_queue, _no_queue, _moved, _moved,
             _no_exchange, _another_exchange, _with_policies, _another_type)
        )  # fmt: skip
        new = edit(new, randomly)
    return new


def _more(it: Topology, randomly: random.Random) -> Topology:
    return _bound(it, [*it.bindings, *(_binding(it, randomly) for _ in range(2))])


def _fewer(it: Topology, randomly: random.Random) -> Topology:
    return _bound(it, [each for each in it.bindings if randomly.random() < 0.7])


def _moved(it: Topology, randomly: random.Random) -> Topology:
    """The keys of some bindings go to another queue."""
    ends = [*it.queues.values()]
    return _bound(
        it,
        [
            replace(each, destination=randomly.choice(ends))
            if randomly.random() < 0.3 and ends
            else each
            for each in it.bindings
        ],
    )


def _another_way(it: Topology, randomly: random.Random) -> Topology:
    """The bindings of one exchange are made anew."""
    chosen = randomly.choice([*it.exchanges])
    others = [each for each in it.bindings if each.source.name != chosen]
    source = it.exchanges[chosen]
    return _bound(it, [*others, *(_binding(it, randomly, source) for _ in range(3))])


def _another_queue(it: Topology, randomly: random.Random) -> Topology:
    queue = Queue(f"t.new{randomly.randint(0, 9)}")
    more = replace(it, queues={**it.queues, queue.name: queue})
    return _bound(more, [*it.bindings, replace(_binding(more, randomly), destination=queue)])


def _no_queue(it: Topology, randomly: random.Random) -> Topology:
    gone = randomly.choice([*it.queues])
    queues = {name: each for name, each in it.queues.items() if name != gone}
    if not queues:
        return it
    return replace(
        it,
        queues=queues,
        bindings=tuple(each for each in it.bindings if each.destination.name != gone),
    )


def _another_exchange(it: Topology, randomly: random.Random) -> Topology:
    """A new exchange takes over some of another one's bindings, and is bound to it."""
    source = it.exchanges[randomly.choice([*it.exchanges])]
    exchange = Exchange(f"t.inner{randomly.randint(0, 9)}", "topic")
    if exchange.name in it.exchanges:
        return it
    more = replace(it, exchanges={**it.exchanges, exchange.name: exchange})
    moved = [
        Binding(exchange, each.destination, each.key)
        for each in it.bindings
        if each.source.name == source.name
    ]
    others = [each for each in it.bindings if each.source.name != source.name]
    entry = {"topic": "#", "headers": ""}.get(source.type, randomly.choice(WORDS))
    return _bound(more, [*others, *moved, Binding(source, exchange, entry)])


def _no_exchange(it: Topology, randomly: random.Random) -> Topology:
    gone = randomly.choice([*it.exchanges])
    exchanges = {name: each for name, each in it.exchanges.items() if name != gone}
    if not exchanges:
        return it
    ends = (gone,)
    return replace(
        it,
        exchanges=exchanges,
        bindings=tuple(
            each
            for each in it.bindings
            if each.source.name not in ends and each.destination.name not in ends
        ),
    )


def _another_type(it: Topology, randomly: random.Random) -> Topology:
    """An exchange of another type, or with another alternate exchange; its bindings are new."""
    old = it.exchanges[randomly.choice([*it.exchanges])]
    kind = randomly.choice(("topic", "direct", "fanout", "headers"))
    arguments = {}
    if randomly.random() < 0.2:
        arguments = {"alternate-exchange": randomly.choice([*it.exchanges])}
    new = replace(old, type=kind, arguments=arguments)
    others = [each for each in it.bindings if each.source.name != old.name]
    more = replace(it, exchanges={**it.exchanges, old.name: new})
    return _bound(more, [*others, *(_binding(more, randomly, new) for _ in range(3))])


def _with_policies(it: Topology, randomly: random.Random) -> Topology:
    """Perhaps a policy that gives some exchange an alternate one."""
    policies: dict[str, Policy] = {}
    if randomly.random() < 0.3:
        alternate = randomly.choice([*it.exchanges])
        pattern = f"^{randomly.choice([*it.exchanges])}$".replace(".", r"\.")
        definition = {"alternate-exchange": alternate}
        policies["p"] = Policy("p", pattern, definition, 1, "exchanges")
    exchanges = {
        name: with_policy(replace(each, policy=None), policies.values())
        for name, each in it.exchanges.items()
    }
    return _bound(replace(it, policies=policies, exchanges=exchanges), list(it.bindings))


def _binding(it: Topology, randomly: random.Random, source: Exchange | None = None) -> Binding:
    source = source or randomly.choice([*it.exchanges.values()])
    destination: Exchange | Queue = randomly.choice([*it.queues.values()])
    if randomly.random() < 0.2:
        destination = randomly.choice([*it.exchanges.values()])
    arguments = random_headers(randomly) if source.type == "headers" else {}
    if source.type == "headers":
        arguments = {**arguments, "x-match": randomly.choice(("all", "any"))}
    signs = [*WORDS, "*", "#"] if source.type == "topic" else WORDS
    key = ".".join(randomly.choice(signs) for _ in range(randomly.randint(0, 3)))
    return Binding(source, destination, key, arguments)


def _bound(it: Topology, bindings: list[Binding]) -> Topology:
    """The topology with these bindings, each of which holds the ends that are there."""
    found: dict[object, Binding] = {}
    for each in bindings:
        end: Exchange | Queue | None = it.queues.get(each.destination.name)
        if isinstance(each.destination, Exchange):
            end = it.exchanges.get(each.destination.name)
        source = it.exchanges.get(each.source.name)
        if source is not None and end is not None:
            bound = Binding(source, end, each.key, each.arguments)
            found[bound.identity] = bound
    return replace(it, bindings=tuple(found.values()))
