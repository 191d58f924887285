"""Making an exchange anew, of another type or with other attributes, under its own name.

What is published to it goes on to where it went. Beside the exchange stands `old`, a copy that is
bound as it is, and `switch`, a fanout whose alternate exchange is `old`:

1. The exchange is bound to `switch`, and a policy makes `switch` its alternate exchange. That
   changes nothing, since a queue gets a message once.
2. What is bound to the exchange goes to `switch` as well, and then its own bindings are removed.
   Everything passes through `switch` now.
3. The exchange, to which nothing is bound any more, is removed and declared anew in one go. The
   policy holds for it from its first moment, and everything passes through `switch` again.

After that the exchange is there as declared, and its bindings are changed as those of any other
(order.py). In between the two halves of the third step, publishers get 404, and nothing is
confirmed to them. Nothing is remembered of all that but what stands on the broker: what is done
already is left out when a plan is made again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from routewright.compiler.keys.header_sets import Undecidable
from routewright.compiler.keys.patterns import Undecided
from routewright.compiler.model.policies import winners
from routewright.compiler.model.topology import (
    PREDECLARED,
    Binding,
    Exchange,
    Policy,
    Queue,
    Topology,
)
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.ownership import Kind
from routewright.compiler.plan.standin_names import PREFIX, is_stand_in, shown
from routewright.compiler.plan.violation import Violation, harm
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.differences import alike
from routewright.compiler.planner.order import Ordered, judged
from routewright.compiler.planner.simulated_host import after, remaining
from routewright.compiler.planner.standins import COPIED_TYPES, catching_all, leading_to
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.side_by_side import side_by_side

_PREFIX = f"{PREFIX}exchange."
_OLD = re.compile(re.escape(_PREFIX) + r"\d+\.old\.(.*)", re.DOTALL)


def obstacle_to_exchange(
    change: kinds.Replace, host: VirtualHost, declared: Topology
) -> str | None:
    """Returns why an exchange cannot be replaced, if it cannot."""
    for exchange in (change.old, change.new):
        if isinstance(exchange, Exchange) and exchange.type not in COPIED_TYPES:
            return f"nothing is known of how the type `{exchange.type}` routes"
    owned = host.owned_by(declared.name)
    for it in host.topology.bindings:
        source = it.source.name
        if _is_to(it, change.new.name):
            known = source in PREDECLARED or owned.has("exchange", source)
            if not known and source not in declared.exchanges:
                return f"it is bound to exchange `{source}`, which is not owned"
        end = it.destination
        if source == change.new.name and isinstance(end, Queue) and end.name in host.exclusive:
            return f"`{end.name}`, which is bound to it, is the exclusive queue of a connection"
    return None


def interrupted(host: VirtualHost, wanted: Topology) -> set[str]:
    """Returns the declared exchanges, as declared or gone, whose replacement was interrupted."""
    there = host.topology.exchanges
    names = {read[1] for it in there if (read := _OLD.match(it))}
    if not names:
        return set()
    return {
        name
        for name, it in wanted.exchanges.items()
        if shown(name) in names and (name not in there or alike(there[name], it))
    }


@dataclass(frozen=True, slots=True)
class ReplacedExchange:
    """The changes that re-create an exchange, and what is known of the moments between."""

    ordered: Ordered
    host: VirtualHost  # once they are made


def replace_exchange(name: str, wanted: Topology, host: VirtualHost) -> ReplacedExchange | None:
    """Re-creates an exchange, or goes on with that; None if there is nothing to do.

    Args:
        name: of an exchange that is declared.
        wanted: what shall be there.
        host: what is there.
    """
    copies = _copies(name, wanted, host)
    if copies is None:
        return None
    replacement = _Replacement(name, wanted, host, copies)
    steps = [*remaining(replacement.changes(), host, wanted.name)]
    if not steps:
        return None
    end = after(host, steps, wanted.name)
    return ReplacedExchange(_judged(name, wanted, host, steps), end)


@dataclass(frozen=True, slots=True)
class _Copies:
    """The exchanges and the policy that stand in for an exchange."""

    old: Exchange
    switch: Exchange
    policy: str  # its name


def _copies(name: str, wanted: Topology, host: VirtualHost) -> _Copies | None:
    """Returns what stands in for an exchange, or will; None if it is not to be re-created."""
    exchanges = host.topology.exchanges
    there = exchanges.get(name)
    if there is not None and alike(there, wanted.exchanges[name]):
        there = None  # the copies that are there, if any, are those to go on with
    for number in count(1):
        old, switch, policy = (
            f"{_PREFIX}{number}.{role}.{shown(name)}" for role in ("old", "switch", "policy")
        )
        found = exchanges.get(old)
        if found is None:
            if there is None:
                return None
            alternate = there.alternate_exchange
            found = Exchange(old, there.type, arguments=_led_to(alternate) if alternate else {})
        if there is None or found.type == there.type:
            return _Copies(found, Exchange(switch, "fanout", arguments=_led_to(old)), policy)
    raise AssertionError


def _led_to(alternate: str) -> dict[str, str]:
    return {ALTERNATE_EXCHANGE: alternate}


class _Replacement:
    """The changes by which one exchange is re-created, also where that was left half-way."""

    def __init__(self, name: str, wanted: Topology, host: VirtualHost, copies: _Copies) -> None:
        self._name, self._host, self._owner = name, host, wanted.name
        self._there, self._new = host.topology.exchanges.get(name), wanted.exchanges[name]
        self._old, self._switch, self._policy = copies.old, copies.switch, copies.policy
        bindings = host.topology.bindings
        self._own = [it for it in bindings if it.source.name == name and not self._enters(it)]
        self._copied = [it for it in bindings if it.source.name == copies.old.name]
        argument = self._new.arguments.get(ALTERNATE_EXCHANGE)
        self._alternate = wanted.exchanges.get(str(argument)) if argument else None
        self._keys = {it.key for it in wanted.bindings if it.source.name == name}

    def changes(self) -> Iterator[Change]:
        """All of them, whether they are made already or not."""
        if self._there is None:
            yield kinds.DeclareExchange(self._new)
            yield from self._after_it_is_there(self._new)
        elif not alike(self._there, self._new):
            yield from self._before_it_goes(self._there)
            yield kinds.RemoveExchange(
                self._there, with_bindings=self._keeps_its_entries(self._there)
            )
            yield kinds.DeclareExchange(self._new)
            yield from self._after_it_is_there(self._new)
        elif not self._own:
            yield from self._after_it_is_there(self._new)
        else:
            yield from self._of_others(self._new)

    def _before_it_goes(self, there: Exchange) -> Iterator[Change]:
        """Has all that comes to the exchange pass through the switch, and unbinds it."""
        own = [it for it in self._own if not _is_to(it, self._name)]
        entries = [it for it in self._host.topology.bindings if self._leads_in(it)]
        if self._own or self._keeps_its_entries(there):
            entries += self._entries(there, {it.key for it in (*own, *self._copied)})
        yield from self._copies_beside_it(own)
        yield from (kinds.Bind(it) for it in entries)
        yield kinds.SetPolicy(self._leading(there))
        yield from self._inbound_to_switch()
        yield from (kinds.Unbind(it) for it in self._own)
        yield from self._alternate_first()
        if not self._keeps_its_entries(there):
            yield from (kinds.Unbind(it) for it in entries)

    def _copies_beside_it(self, own: Sequence[Binding]) -> Iterator[Change]:
        """Creates the copies, and binds `old` as the exchange is bound."""
        copies = (self._old, self._switch)
        yield from (kinds.Own(self._owner, "exchange", it.name) for it in copies)
        yield kinds.Own(self._owner, "policy", self._policy)
        yield from (kinds.DeclareExchange(it) for it in copies)
        filled = [replace(it, source=self._old) for it in own]
        if not self._is_in_use():
            wanted = {it.identity for it in filled}
            yield from (kinds.Unbind(it) for it in self._copied if it.identity not in wanted)
        queues_first = sorted(filled, key=lambda it: isinstance(it.destination, Exchange))
        yield from (kinds.Bind(it) for it in queues_first)

    def _inbound_to_switch(self) -> Iterator[Change]:
        """Binds the switch where the exchange was bound, before the exchange is unbound there."""
        bindings = self._host.topology.bindings
        others = [it for it in bindings if _is_to(it, self._name) and it.source.name != self._name]
        yield from (kinds.Bind(replace(it, destination=self._switch)) for it in others)
        yield from (kinds.Unbind(it) for it in others)

    def _alternate_first(self) -> Iterator[Change]:
        """Have an alternate exchange that is new itself lead to the switch.

        So nothing goes wrong in the moment in which the exchange has an alternate and no bindings.
        """
        alternate = self._alternate
        if alternate is None or alternate.type == "direct":
            return
        bound = [it for it in self._host.topology.bindings if it.source.name == alternate.name]
        is_new = alternate.name not in self._host.topology.exchanges
        if is_new or (bound and all(self._enters(it) for it in bound)):
            yield kinds.Own(self._owner, "exchange", alternate.name)
            yield kinds.DeclareExchange(alternate)
            yield from (kinds.Bind(it) for it in self._entries(alternate, ()))

    def _after_it_is_there(self, new: Exchange) -> Iterator[Change]:
        # Where the exchange itself says what its alternate is, the policy is not heard.
        if ALTERNATE_EXCHANGE in new.arguments and self._keys:
            old_keys = {it.key for it in (*self._copied, *self._own)}
            yield from (kinds.Bind(it) for it in self._entries(new, {*self._keys, *old_keys}))
        yield from self._of_others(new)

    def _of_others(self, new: Exchange) -> Iterator[Change]:
        """The bindings of things that are not ours, which went with the old exchange."""
        owned = self._host.owned_by(self._owner)
        for it in (*self._copied, *self._own):
            kind: Kind = "queue" if isinstance(it.destination, Queue) else "exchange"
            if not owned.has(kind, it.destination.name) and not _is_to(it, self._name):
                yield kinds.Bind(replace(it, source=new))

    def _entries(self, exchange: Exchange, keys: Iterable[str]) -> Iterator[Binding]:
        """The bindings by which all that comes to an exchange passes through the switch."""
        everything = catching_all(exchange, self._switch)
        if everything is not None:
            yield everything
        else:
            yield from (Binding(exchange, self._switch, it) for it in sorted(keys))

    def _leads_in(self, binding: Binding) -> bool:
        return binding.source.name == self._name and self._enters(binding)

    def _enters(self, binding: Binding) -> bool:
        return _is_to(binding, self._switch.name)

    def _is_in_use(self) -> bool:
        """Whether messages come to the copy already."""
        there = self._host.topology
        return self._policy in there.policies or any(map(self._enters, there.bindings))

    def _keeps_its_entries(self, there: Exchange) -> bool:
        """Whether an exchange has to go together with what binds it to the switch.

        An argument hides what a policy says, and without bindings one that removes itself is gone
        too early.
        """
        return ALTERNATE_EXCHANGE in there.arguments or there.auto_delete

    def _leading(self, there: Exchange) -> Policy:
        """The policy that leads to the switch, and keeps what another one says."""
        mine = self._policy
        others = [it for it in self._host.topology.policies.values() if it.name != mine]
        found = winners(others, there)
        definition: dict[str, Any] = dict(found[0].definition) if found else {}
        return Policy(
            mine,
            f"^{re.escape(self._name)}$",
            {**definition, ALTERNATE_EXCHANGE: self._switch.name},
            int(found[0].priority) + 1 if found else 0,
            "exchanges",
        )


def _judged(name: str, wanted: Topology, host: VirtualHost, steps: Sequence[Change]) -> Ordered:
    """The steps, each moment of which routes as before; where one does not, it is said.

    While the exchange is gone, what is published to it is not confirmed; but another exchange may
    lead there. Then it is there with nothing bound to it, and last as the next changes find it.
    """
    created = next((at for at, it in enumerate(steps) if _is_new(it, name)), len(steps))
    swap = created - (created > 0 and isinstance(steps[created - 1], kinds.RemoveExchange))
    found = judged(host.topology, steps[:swap])
    undecided = {*found.undecided}
    violations = [*found.violations]
    leading = {name} | leading_to({name}, host.topology)
    entries = [*_public(leading, host.topology, wanted)]
    for place in sorted({swap - 1, swap, created, len(steps) - 1} - {-1, len(steps)}):
        now = after(host, steps[: place + 1], wanted.name).topology
        for exchange in entries:
            if exchange in now.exchanges or exchange in now.predeclared:
                try:
                    wrong = [*_harmful(exchange, host.topology, now, wanted)]
                except (Undecided, Undecidable):
                    undecided.add(exchange)
                else:
                    violations += ((place, it) for it in wrong)
    return replace(
        found,
        changes=tuple(steps),
        violations=tuple(violations),
        undecided=tuple(sorted(undecided)),
        differences=(),
    )


def _harmful(
    exchange: str, before: Topology, now: Topology, wanted: Topology
) -> Iterator[Violation]:
    """The keys that go wrong while they go elsewhere than before."""
    for it in side_by_side(exchange, before, now, wanted):
        was, is_, will_be = it.deliveries
        if was.reach != is_.reach:
            if Outcome.UNDECIDED in (was.outcome, is_.outcome, will_be.outcome):
                raise Undecidable(exchange)
            wrong = harm(was.reach, is_.reach, will_be.reach)
            if wrong:
                yield Violation(
                    wrong, exchange, it.witness, was.reach, is_.reach, will_be.reach, it.headers
                )


def _public(names: Iterable[str], there: Topology, wanted: Topology) -> Iterator[str]:
    """The exchanges that are published to, also one that an earlier apply has left out."""
    for name in sorted(names):
        exchange = there.exchange(name) or wanted.exchange(name)
        if exchange is not None and not exchange.internal and not is_stand_in(name):
            yield name


def _is_new(change: Change, name: str) -> bool:
    return isinstance(change, kinds.DeclareExchange) and change.exchange.name == name


def _is_to(binding: Binding, exchange: str) -> bool:
    return isinstance(binding.destination, Exchange) and binding.destination.name == exchange
