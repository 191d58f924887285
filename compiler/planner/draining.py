"""What stays until the queues that are removed are gone: the ways their messages may still take.

A queue is removed only when it is empty. What waits in it goes on meanwhile, as dead letters too,
and finds the way that it would have found before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Exchange, Policy, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.planner.replace_queue import is_stand_in_queue
from routewright.compiler.planner.simulate import Simulation
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE

_Item = TypeVar("_Item", Exchange, Queue)


@dataclass(frozen=True, slots=True)
class Draining:
    """How queues are removed, and what goes after them.

    `places` are the places of queues in the order in which their messages flow, by their names;
    `late` are the ids of the changes that would take a way away.
    """

    places: dict[str, int]
    late: frozenset[int]


def draining(before: Topology, changes: Sequence[Change]) -> Draining:
    """Finds what to remove last, so that what waits in queues which are removed is not lost."""
    going = removed(changes)
    if not going:
        return Draining({}, frozenset())
    flow = _Flow(before)
    order = [name for name in flow.from_queues(going) if name in going]
    exchanges = {name for name in flow.exchanges_behind(going) if name}
    ways_out = _WaysOut(before, changes, [*going.values()], exchanges)
    late = frozenset(id(change) for change in changes if ways_out.narrowed_by(change))
    return Draining({name: place for place, name in enumerate(order)}, late)


def removed(changes: Iterable[Change]) -> dict[str, Queue]:
    """The queues that are removed for good, which nothing empties, by their names."""
    changes = [*changes]
    moved = {it.source.name for it in changes if isinstance(it, kinds.Move)}
    return {
        it.queue.name: it.queue
        for it in changes
        if isinstance(it, kinds.RemoveQueue) and it.queue.name not in moved
        if not is_stand_in_queue(it.queue.name)
    }


class _WaysOut:
    """The ways that messages of queues which are removed may still take, as dead letters too.

    Args:
        before: what is there.
        changes: all changes.
        queues: those that are removed.
        exchanges: the names of those that messages of the queues may pass.
    """

    def __init__(
        self,
        before: Topology,
        changes: Sequence[Change],
        queues: Sequence[Queue],
        exchanges: set[str],
    ) -> None:
        self._before, self._queues, self._exchanges = before, queues, exchanges
        self._gone = {it.exchange.name for it in changes if isinstance(it, kinds.RemoveExchange)}
        self._simulation = Simulation(before, changes)

    def narrowed_by(self, change: Change) -> bool:
        """Returns True if a change takes a way away, and may wait until the queues are gone."""
        match change:
            case kinds.Unbind(binding):
                source = binding.source.name
                return source in self._exchanges and (
                    source in self._gone or self._simulation.is_lossy(binding)
                )
            case kinds.SetPolicy(policy):
                return self._narrowed_by_policy(policy, [policy])
            case kinds.RemovePolicy(policy):
                return self._narrowed_by_policy(policy, [])
            case _:
                return False

    def _narrowed_by_policy(self, policy: Policy, instead: Sequence[Policy]) -> bool:
        """Returns True if a policy counts on the way, before it is changed or afterwards."""
        there = self._before.policies.values()
        after = [*(it for it in there if it.name != policy.name), *instead]
        policies = ([*there], after)
        exchanges = self._before.exchanges
        passed = [exchanges[name] for name in self._exchanges & exchanges.keys()]
        served = any(_counts(policy, queue, policies) for queue in self._queues)
        on_the_way = {it.name for it in passed if _counts(policy, it, policies)}
        # Where an exchange stays, what its alternate is decides where keys go.
        harmless = ALTERNATE_EXCHANGE not in policy.definition or on_the_way <= self._gone
        return bool(served or on_the_way) and harmless


def _counts(policy: Policy, item: _Item, policies: Iterable[Sequence[Policy]]) -> bool:
    """Returns True if it is a policy of this name that counts for a thing, ever."""
    found = (with_policy(replace(item, policy=None), each).policy for each in policies)
    return any(it is not None and it.name == policy.name for it in found)


_Node = tuple[type[Exchange | Queue], str]


class _Flow:
    """Where messages may go: through bindings and alternate exchanges, and as dead letters."""

    def __init__(self, topology: Topology) -> None:
        self._next: defaultdict[_Node, list[_Node]] = defaultdict(list)
        for it in topology.bindings:
            if it.source.name:
                end = (type(it.destination), it.destination.name)
                self._next[Exchange, it.source.name].append(end)
        for exchange in topology.every_exchange():
            if exchange.alternate_exchange:
                self._next[Exchange, exchange.name].append((Exchange, exchange.alternate_exchange))
        for name, queue in topology.queues.items():
            behind, key = queue.dead_letter_exchange, queue.dead_letter_routing_key
            if behind:
                self._next[Queue, name].append((Exchange, behind))
            elif behind is not None and key is not None:  # by its name
                self._next[Queue, name].append((Queue, key))

    def from_queues(self, names: Iterable[str]) -> list[str]:
        """All queues that messages of some may come to, and these; each before what is behind it.

        Where queues lead back to each other, any of them may be the first.
        """
        seen, done = set[_Node](), list[_Node]()
        for name in sorted(names, reverse=True):
            done += self._visited((Queue, name), seen)
        return [name for kind, name in reversed(done) if kind is Queue]

    def exchanges_behind(self, names: Iterable[str]) -> set[str]:
        """The exchanges that dead letters of some queues may pass."""
        seen = set[_Node]()
        for name in names:
            self._visited((Queue, name), seen)
        return {name for kind, name in seen if kind is Exchange}

    def _visited(self, start: _Node, seen: set[_Node]) -> list[_Node]:
        """What is come upon from somewhere for the first time, the last of a way first."""
        if start in seen:
            return []
        seen.add(start)
        done: list[_Node] = []
        open_: list[tuple[_Node, Iterator[_Node]]] = [(start, iter(self._next[start]))]
        while open_:
            node, following = open_[-1]
            further = next((it for it in following if it not in seen), None)
            if further is None:
                done.append(node)
                open_.pop()
            else:
                seen.add(further)
                open_.append((further, iter(self._next[further])))
        return done
