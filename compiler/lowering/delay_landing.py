"""What becomes of a message when its delay ends: bindings that lead it where it was meant to go.

It still has the key that led it through the ladder: the digits of the delay, the word of the
exchange it is meant for, and then its own. So that exchange is not asked, nor any behind it, and no
other message finds anything changed. Each of their bindings is repeated behind an anchor instead,
as many `*` as there are digits and that one word, where only delayed messages come by. An exchange
that decides by more than its own bindings to queues has a mirror of its own for this.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from routewright.compiler.keys.patterns import has_wildcard
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE
from routewright.runtime.router.delay_ladder import source_word


@dataclass(frozen=True, slots=True)
class Landing:
    """The mirrors and all bindings behind the last stop; and the bindings that none can repeat."""

    exchanges: tuple[Exchange, ...]
    bindings: tuple[Binding, ...]
    impossible: tuple[Binding, ...]


def sources(topology: Topology) -> list[Exchange]:
    """The exchanges that delayed messages are meant for: those of tasks, and the default one."""
    default = topology.predeclared[""]
    found = {task.exchange.name: task.exchange for task in topology.tasks.values()}
    return [default, *(found[name] for name in sorted(found) if name)]


def anchor(bits: int, source: str) -> str:
    """The binding key of messages for one exchange, with any delay."""
    return "*." * bits + source_word(source)


def land(topology: Topology, bits: int, last_stop: Exchange, lost: Exchange) -> Landing:
    """The bindings that lead delayed messages from the last stop to where others would go."""
    building = _Building(with_default_bindings(topology), bits, last_stop, lost)
    for source in sources(topology):
        before = anchor(bits, source.name)
        if source.type != "headers" and source.alternate_exchange is None:
            building.repeat(source, last_stop, before)
        else:
            mirror = building.mirror(source)
            building.bindings.append(Binding(last_stop, mirror, f"{before}.#"))
    building.fill_mirrors()
    bindings = {it.identity: it for it in building.bindings}
    return Landing(
        tuple(building.mirrors.values()), tuple(bindings.values()), tuple(building.impossible)
    )


class _Building:
    """The mirrors that are needed so far, and the bindings made."""

    def __init__(self, topology: Topology, bits: int, last_stop: Exchange, lost: Exchange) -> None:
        self._topology, self._last_stop = topology, last_stop
        self._lost = lost
        ends = [binding.destination for binding in topology.bindings]
        self._bound_to_others = {end.name for end in ends if isinstance(end, Exchange)}
        self._any_source = "*." * bits + "*"
        self._leaving: defaultdict[str, list[Binding]] = defaultdict(list)
        for binding in topology.bindings:
            self._leaving[binding.source.name].append(binding)
        self._waiting: list[Exchange] = []
        self.mirrors: dict[str, Exchange] = {}
        self.bindings: list[Binding] = []
        self.impossible: list[Binding] = []

    def mirror(self, exchange: Exchange) -> Exchange:
        """The exchange that does with delayed messages what this one does with others."""
        found = self.mirrors.get(exchange.name)
        if found is None:
            behind = self._topology.exchange(exchange.alternate_exchange or "")
            alternate: str | None = self._lost.name
            if behind is not None and behind.name:
                alternate = self._name(behind)
            elif exchange.name in self._bound_to_others:  # where the message may be delivered still
                alternate = None
            kind = "headers" if exchange.type == "headers" else "topic"
            arguments = {ALTERNATE_EXCHANGE: alternate} if alternate else {}
            found = Exchange(self._name(exchange), kind, arguments=arguments)
            self.mirrors[exchange.name] = found
            self._waiting.append(exchange)
            if behind is not None and behind.name:
                self.mirror(behind)
        return found

    def fill_mirrors(self) -> None:
        """Give each mirror its bindings, which may lead to further ones."""
        while self._waiting:
            exchange = self._waiting.pop()
            self.repeat(exchange, self.mirrors[exchange.name], self._any_source)

    def repeat(self, exchange: Exchange, source: Exchange, before: str) -> None:
        """Make the bindings of one exchange from another, behind an anchor."""
        for binding in self._leaving[exchange.name]:
            key = _behind(before, binding)
            if key is None:
                self.impossible.append(binding)
                continue
            end = binding.destination
            destination = end if isinstance(end, Queue) else self.mirror(end)
            self.bindings.append(
                Binding(source, destination, key, binding.arguments, binding.origin)
            )

    def _name(self, exchange: Exchange) -> str:
        return f"{self._last_stop.name}.{exchange.name}"


def with_default_bindings(topology: Topology) -> Topology:
    """The topology with the bindings that the default exchange has of itself, as if declared."""
    default = topology.predeclared[""]
    by_name = (Binding(default, it, it.name, origin=it.origin) for it in topology.queues.values())
    return replace(topology, bindings=(*topology.bindings, *by_name))


def _behind(before: str, binding: Binding) -> str | None:
    """A topic's key for what a binding matches, behind an anchor; None where there is none."""
    match binding.source.type:
        case "headers":
            return binding.key
        case "fanout":
            return f"{before}.#"
        case "topic":
            pass
        case "direct" if not has_wildcard(binding.key):
            pass
        case _:
            return None
    return f"{before}.{binding.key}" if binding.key else before
