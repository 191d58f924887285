"""How an exchange picks among its bindings: by the routing key, or by the headers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from routewright.compiler.keys.key_classes import EVERY_KEY
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, exactly, topic
from routewright.compiler.model.topology import Binding, Exchange
from routewright.compiler.rabbitmq.exchange_types import CHOOSING_TYPES
from routewright.runtime.router.headers import headers_match, matches_nothing

Match = Callable[[str, Mapping[str, Any]], Iterable[Binding]]


def pattern_of(binding: Binding, headers: Mapping[str, Any] | None) -> Pattern | None:
    """The keys that a binding matches, of messages with these headers; None if there are none.

    Without headers given, they are taken to be the right ones. An exchange that chooses among its
    bindings may choose any of them, whatever the key.
    """
    match binding.source.routes_as:
        case "topic":
            return topic(binding.key)
        case "direct":
            return exactly(binding.key)
        case "headers" if headers is None and matches_nothing(binding.arguments):
            return None
        case "headers" if headers is not None and not headers_match(binding.arguments, headers):
            return None
        case _:
            return EVERY_KEY


def matcher(exchange: Exchange, bindings: Sequence[Binding]) -> Match | None:
    """How an exchange picks among its bindings; None where nothing is known of its type."""
    match exchange.routes_as:
        case "direct":
            by_key: defaultdict[str, list[Binding]] = defaultdict(list)
            for binding in bindings:
                by_key[binding.key].append(binding)
            return lambda key, _headers: by_key.get(key, ())
        case "topic":
            topics: PatternTable[Binding] = PatternTable()
            for binding in bindings:
                topics.add(topic(binding.key), binding)
            return lambda key, _headers: topics.lookup(key)
        case "headers":
            return lambda _key, headers: [
                binding for binding in bindings if headers_match(binding.arguments, headers)
            ]
        case kind if kind == "fanout" or kind in CHOOSING_TYPES:
            return lambda _key, _headers: bindings
        case _:
            return None
