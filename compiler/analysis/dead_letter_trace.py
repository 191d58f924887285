"""What becomes of one message after the queues that it reached have given it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routewright.compiler.keys.header_sets import asks_how_it_died
from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.routing.delivery import Delivery, Outcome
from routewright.compiler.routing.routing import Routing

_MOST_ROUNDS = 10  # queues that a dead letter is followed through


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What becomes of a message that a queue gives up on.

    `delivery` is None where the message comes back to a queue it has been in: a cycle.
    """

    exchange: str
    routing_key: str
    delivery: Delivery | None
    from_there: Mapping[str, DeadLetter]
    policy: str | None = None  # the one that says so, where the queue does not itself


def trace_dead_letters(
    topology: Topology, routing: Routing, delivery: Delivery, key: str, headers: Mapping[str, Any]
) -> Mapping[str, DeadLetter]:
    """The dead letters of the queues that a message reaches or may reach, by queue."""
    return _Following(topology, routing, headers).behind(delivery, key, frozenset())


class _Following:
    """The way of one message, whose headers stay what they are."""

    def __init__(self, topology: Topology, routing: Routing, headers: Mapping[str, Any]) -> None:
        self._topology = topology
        self._routing = routing
        self._headers = headers
        self._told: set[tuple[str, str]] = set()

    def behind(self, delivery: Delivery, key: str, before: frozenset[str]) -> dict[str, DeadLetter]:
        if len(before) > _MOST_ROUNDS:
            return {}
        queues = (self._topology.queues[name] for name in delivery.may_reach)
        return {it.name: found for it in queues for found in self._dead_letter(it, key, before)}

    def _dead_letter(self, queue: Queue, key: str, before: frozenset[str]) -> Iterator[DeadLetter]:
        exchange, own = queue.dead_letter_exchange, queue.dead_letter_routing_key
        if exchange is None:
            return
        key = key if own is None else own
        policy = _policy_behind(queue)
        if queue.name in before:
            yield DeadLetter(exchange, key, None, {}, policy)
            return
        onward = self._route(exchange, key)
        further: dict[str, DeadLetter] = {}
        if (queue.name, key) not in self._told:  # a second way to the same queue goes on alike
            self._told.add((queue.name, key))
            further = self.behind(onward, key, before | {queue.name})
        yield DeadLetter(exchange, key, onward, further, policy)

    def _route(self, exchange: str, key: str) -> Delivery:
        """Where a dead letter goes; undecided if it meets bindings by which its death may count."""
        onward = self._routing.route(exchange, key, self._headers)
        ends = [hop.destination for hop in onward.hops]
        met = {exchange, *(it.name for it in ends if isinstance(it, Exchange))}
        leaving = (it for name in met for it in self._routing.graph.bindings_from(name))
        asked = (it.arguments for it in leaving if it.source.routes_as == "headers")
        first = self._topology.exchange(exchange)
        if first is None or not any(map(asks_how_it_died, asked)):
            return onward
        possible = tuple(sorted({*self._routing.graph.queues_behind(exchange)}))
        return Delivery((), Outcome.UNDECIDED, (), possible)


def _policy_behind(queue: Queue) -> str | None:
    """The policy that a queue has its dead-letter exchange from, if not from itself."""
    own = "x-dead-letter-exchange" in queue.arguments
    return None if own or queue.policy is None else queue.policy.name
