"""Where a message goes, worked out the slow way from RabbitMQ's rules.

What this is for is to disagree with the compiler, so that it shares no code with it: it reads the
data of a topology, and matches, compares and walks by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology

_ALWAYS_THERE = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
}


def spelt_out(key: str) -> str:
    """A key with a dot behind every word, which tells no words from one empty word."""
    return f"{key}." if key else ""


@lru_cache(100_000)
def expression(pattern: str) -> re.Pattern[str]:
    """The regular expression of a topic pattern, for keys that are spelt out."""
    if not pattern:
        return re.compile("")
    parts = {"*": r"[^.]*\.", "#": r"(?:[^.]*\.)*"}
    return re.compile("".join(parts.get(it) or re.escape(it) + r"\." for it in pattern.split(".")))


def topic_matches(pattern: str, key: str) -> bool:
    return expression(pattern).fullmatch(spelt_out(key)) is not None


class BruteForce:
    """A topology, looked through from its first binding to its last for every exchange met."""

    def __init__(self, topology: Topology) -> None:
        self._types = _ALWAYS_THERE | {it.name: it.type for it in topology.exchanges.values()}
        self._alternates = {
            it.name: str(it.arguments.get("alternate-exchange") or _by_policy(it))
            for it in topology.every_exchange()
        }
        self._queues = set(topology.queues)
        self._bindings = [
            (it.source.name, it.destination.name, isinstance(it.destination, Queue), it)
            for it in topology.bindings
        ]

    def queues(self, exchange: str, key: str, headers: Mapping[str, Any]) -> set[str]:
        """The queues that get a message published to an exchange."""
        if not exchange:
            return {key} & self._queues
        return self._reached(exchange, key, headers)[0]

    def has(self, exchange: str) -> bool:
        """Whether there is such an exchange to publish to."""
        return exchange in self._types

    def by_alternate(self, exchange: str, key: str, headers: Mapping[str, Any]) -> bool:
        """Whether some exchange on the way had to fall back on its alternate one."""
        return bool(exchange) and self._reached(exchange, key, headers)[1]

    def _reached(
        self, exchange: str, key: str, headers: Mapping[str, Any]
    ) -> tuple[set[str], bool]:
        reached: set[str] = set()
        todo, visited, fell_back = [exchange], {exchange}, False
        while todo:
            here = todo.pop(0)
            matched = [
                (name, is_queue)
                for source, name, is_queue, binding in self._bindings
                if source == here and self._binds(binding, key, headers)
            ]
            alternate = self._alternates.get(here, "")
            if not matched and alternate:  # one named "" is an exchange without any bindings
                matched, fell_back = [(alternate, False)], True
            for name, is_queue in matched:
                if is_queue:
                    reached.add(name)
                elif name not in visited and name in self._types:
                    visited.add(name)
                    todo.append(name)
        return reached, fell_back

    def _binds(self, binding: Binding, key: str, headers: Mapping[str, Any]) -> bool:
        kind = self._types[binding.source.name]
        if kind == "topic":
            return topic_matches(binding.key, key)
        if kind == "headers":
            return _headers_agree(binding.arguments, headers)
        return kind == "fanout" or (kind == "direct" and binding.key == key)


def _by_policy(exchange: Exchange) -> str:
    """The alternate exchange that a policy adds where the exchange has none of its own."""
    own = "alternate-exchange" in exchange.arguments
    policy = None if own else exchange.policy
    return str(policy.definition.get("alternate-exchange", "")) if policy else ""


def _headers_agree(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    how = arguments.get("x-match", "all")
    agreed = disagreed = 0
    for name, value in arguments.items():
        if name == "x-match" or (name.startswith("x-") and how in ("all", "any")):
            continue
        if name in headers and _equal(value, headers[name]):
            agreed += 1
        else:
            disagreed += 1
    return agreed > 0 if how in ("any", "any-with-x") else disagreed == 0


def _equal(one: Any, other: Any) -> bool:
    """As Erlang's `==` on what AMQP carries: 1 is 1.0, and a truth value is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other
