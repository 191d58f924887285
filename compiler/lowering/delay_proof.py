"""The proof that a delayed message arrives just where it would have gone without a delay.

The bindings behind the last stop and those of the exchange that a message was meant for are walked
side by side with all keys at a time; the latter behind the words that a delay puts before a key.
That any delay leads through the ladder to the last stop does not depend on the topology. A message
that would have gone nowhere may be kept as lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from routewright.compiler.keys.header_sets import all_headers
from routewright.compiler.keys.key_classes import EVERY_KEY, key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import Pattern, Wild, words
from routewright.compiler.lowering.delay_landing import sources, with_default_bindings
from routewright.compiler.lowering.delay_names import ladder_names
from routewright.compiler.model.topology import Arguments, Binding, Delays, Exchange, Topology
from routewright.compiler.routing.delivery import Delivery
from routewright.compiler.routing.routing import Routing
from routewright.runtime.router.delay_ladder import source_word


@dataclass(frozen=True, slots=True)
class Astray:
    """The smallest key of an exchange with which a delayed message goes elsewhere."""

    exchange: str
    key: str
    undelayed: Delivery
    delayed: Delivery
    headers: Mapping[str, Any] = field(default_factory=dict)


def astray(topology: Topology, on_broker: Topology, delays: Delays) -> Iterator[Astray]:
    """For each exchange that delayed messages are meant for, a key that goes elsewhere, if any.

    Raises:
        Undecided: there are more classes of keys than are looked at.
        Undecidable: there are more combinations of headers than are looked at.
    """
    before = Routing(with_default_bindings(topology))
    after = _Landed(on_broker, delays)
    for source in sources(topology):
        for headers in all_headers(_looked_at(before, source)):
            found = _astray(source.name, before, after, delays.bits, headers)
            if found is not None:
                yield found
                break


def _looked_at(routing: Routing, first: Exchange) -> Iterator[Arguments]:
    """The arguments of all headers bindings that a message for an exchange may come by."""
    for name in routing.graph.reachable(first.name):
        for binding in routing.graph.bindings_from(name):
            if binding.source.type == "headers":
                yield binding.arguments


class _Landed:
    """What lies behind the last stop."""

    def __init__(self, on_broker: Topology, delays: Delays) -> None:
        names = ladder_names(on_broker.name, delays, on_broker.target)
        self._routing = Routing(on_broker)
        self._last_stop = names.last_stop
        self._cones: dict[str, list[tuple[Pattern, Binding]]] = {}
        self.kept = (names.lost,)

    def bindings(
        self, ahead: Pattern, headers: Mapping[str, Any]
    ) -> Iterator[tuple[Pattern, Binding]]:
        """The bindings that a message with these words ahead may come by, and their keys."""
        asked = repr(headers)
        cone = self._cones.get(asked)
        if cone is None:
            cone = self._cones[asked] = list(self._routing.graph.cone(self._last_stop, headers))
        anchored = len(ahead) - 1
        for pattern, binding in cone:
            if binding.source.name != self._last_stop or pattern[anchored] == ahead[anchored]:
                yield pattern, binding

    def deliver(self, bindings: Iterable[Binding]) -> Delivery:
        """Where a message goes that matches just these."""
        return self._routing.deliver(self._last_stop, bindings)


def _astray(
    source: str, before: Routing, after: _Landed, bits: int, headers: Mapping[str, Any]
) -> Astray | None:
    ahead = before_key(bits, source)
    table: PatternTable[tuple[bool, Binding]] = PatternTable()
    for pattern, binding in before.graph.cone(source, headers):
        table.add((*ahead, *pattern), (False, binding))
    for pattern, binding in after.bindings(ahead, headers):
        table.add(pattern, (True, binding))
    for found in key_classes(table, [(*ahead, *EVERY_KEY)]):
        was = before.deliver(source, [it for is_new, it in found.values if not is_new])
        now = after.deliver([it for is_new, it in found.values if is_new])
        if now.queues not in (was.queues, was.queues or after.kept):
            own = ".".join(words(found.witness)[len(ahead) :])
            return Astray(source, own, was, now, headers)
    return None


def before_key(bits: int, source: str) -> Pattern:
    """What any delay puts before the key of a message for an exchange."""
    return (*(Wild.ONE for _ in range(bits)), source_word(source))
