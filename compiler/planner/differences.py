"""What would make a broker match a topology: changes in no order, and what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from routewright.compiler.model.topology import (
    PREDECLARED,
    Argument,
    Binding,
    Exchange,
    Policy,
    Queue,
    Topology,
)
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.canonical import canonical, canonical_policy, comparable_arguments
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.ownership import Kind, Owned
from routewright.compiler.plan.standin_names import is_stand_in
from routewright.compiler.plan.virtual_host import Conflict, VirtualHost
from routewright.compiler.planner.missing import alternates_first


@dataclass(frozen=True, slots=True)
class Differences:
    """The changes, the attributes that cannot be changed, and what belongs to nobody we know.

    `unowned` are there as declared without being owned: nothing is done to them, nor pruned later.
    `foreign` are there otherwise, and are not the topology's to change. `in_use` says which of our
    exchanges stay because others use them.
    """

    changes: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    unowned: tuple[tuple[Kind, str], ...] = ()
    foreign: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()


def differences(wanted: Topology, host: VirtualHost, *, adopt: bool = False) -> Differences:
    """What is to be changed, which is nothing that the topology does not own.

    Args:
        wanted: what shall be there, its delays lowered to plain objects.
        host: what is there.
        adopt: take over what is there under a declared name.
    """
    return _Comparison(wanted, host, adopt).found()


class _Comparison:
    def __init__(self, wanted: Topology, host: VirtualHost, adopt: bool) -> None:
        self._wanted, self._host = wanted, host
        self._there = host.topology
        self._owned: Owned = host.owned_by(wanted.name)
        self._adopt = adopt
        self._changes: list[Change] = []
        self._conflicts: list[Conflict] = [*host.conflicts]
        self._unowned: list[tuple[Kind, str]] = []
        self._foreign = [f"{it.kind} `{it.name}`" for it in host.conflicts]
        self._in_use: list[str] = []
        self._ours = set(self._owned.names)
        self._others = {
            it for name, owned in host.owned.items() if name != wanted.name for it in owned.names
        }

    def found(self) -> Differences:
        exchanges = [it for it in alternates_first(self._wanted) if it.name not in PREDECLARED]
        for exchange in exchanges:
            self._compare("exchange", exchange, self._there.exchanges.get(exchange.name))
        for _, queue in sorted(self._wanted.queues.items()):
            self._compare("queue", queue, self._there.queues.get(queue.name))
        for _, policy in sorted(self._policies().items()):
            self._compare_policy(policy, self._there.policies.get(policy.name))
        stale = [*self._stale()]
        self._changes += self._bindings()
        self._changes += stale
        return Differences(
            tuple(self._changes),
            tuple(self._conflicts),
            tuple(self._unowned),
            tuple(self._foreign),
            tuple(self._in_use),
        )

    def _compare(
        self, kind: Kind, wanted: Exchange | Queue, there: Exchange | Queue | None
    ) -> None:
        if there is None:
            self._own(kind, wanted.name)
            self._changes.append(
                kinds.DeclareExchange(wanted)
                if isinstance(wanted, Exchange)
                else kinds.DeclareQueue(wanted)
            )
            return
        may_change = self._take_over(kind, wanted.name)
        conflicts = [*conflicts_between(there, wanted)]
        if wanted.name in self._host.exclusive:
            conflicts = [Conflict("queue", wanted.name, "exclusive", "true", "false")]
            may_change = False
        self._conflicts += conflicts
        if conflicts and may_change:
            self._changes.append(kinds.Replace(there, wanted))
        elif conflicts:
            self._foreign.append(f"{kind} `{wanted.name}`")

    def _compare_policy(self, wanted: Policy, there: Policy | None) -> None:
        if there is None:
            self._own("policy", wanted.name)
            self._changes.append(kinds.SetPolicy(wanted))
            return
        may_change = self._take_over("policy", wanted.name)
        if canonical_policy(there) == canonical_policy(wanted):
            return
        if may_change:
            self._changes.append(kinds.SetPolicy(wanted))
        else:
            self._foreign.append(f"policy `{wanted.name}`")

    def _policies(self) -> Mapping[str, Policy]:
        """The policies to compare: AMQP has no word for them."""
        return {} if self._host.blind else self._wanted.policies

    def _own(self, kind: Kind, name: str) -> None:
        self._ours.add((kind, name))
        if not self._host.blind and not self._owned.has(kind, name):
            self._changes.append(kinds.Own(self._wanted.name, kind, name))

    def _take_over(self, kind: Kind, name: str) -> bool:
        """Whether a thing that is there is ours to change."""
        if self._owned.has(kind, name):
            return True
        if self._adopt and not self._host.blind:
            self._own(kind, name)
            return True
        if not self._host.blind:
            self._unowned.append((kind, name))
        return False

    def _bindings(self) -> Iterator[Change]:
        there = {_identity(it): it for it in self._there.bindings if self._is_as_wanted(it)}
        wanted = {
            _identity(it): it
            for it in self._wanted.bindings
            if it.source.name and self._is_as_wanted(it)
        }
        exclusive = self._host.exclusive  # which nobody else may bind
        for identity, binding in wanted.items():
            if identity not in there and binding.destination.name not in exclusive:
                yield kinds.Bind(binding, new=not self._host.blind or self._has_new_end(binding))
        for identity, binding in there.items():
            if identity not in wanted and self._is_ours(binding):
                yield kinds.Unbind(binding)

    def _is_as_wanted(self, binding: Binding) -> bool:
        """Whether a binding means on the broker what it means in the topology.

        One of an exchange of another type does not: a fanout would pass on all that comes.
        """
        name = binding.source.name
        there, wanted = self._there.exchange(name), self._wanted.exchange(name)
        return there is None or wanted is None or there.type == wanted.type

    def _has_new_end(self, binding: Binding) -> bool:
        end = binding.destination
        there = self._there.exchanges if isinstance(end, Exchange) else self._there.queues
        return self._there.exchange(binding.source.name) is None or (
            end.name not in there and end.name not in PREDECLARED
        )

    def _is_ours(self, binding: Binding) -> bool:
        """Whether a binding is the topology's: both its ends are, or the broker has the source."""
        source, end = binding.source.name, binding.destination
        kind: Kind = "exchange" if isinstance(end, Exchange) else "queue"
        from_ours = source in PREDECLARED or ("exchange", source) in self._ours
        return from_ours and (kind, end.name) in self._ours

    def _stale(self) -> Iterator[Change]:
        """What the topology owns and does not declare any more."""
        for kind, name in sorted(self._owned.names):
            declared = {
                "exchange": self._wanted.exchanges,
                "queue": self._wanted.queues,
                "policy": self._wanted.policies,
            }[kind]
            if name in declared:
                continue
            if (kind, name) not in self._others:
                others = next(self._bound_by_others(kind, name), None)
                if others is not None:
                    self._in_use.append(f"exchange `{name}` stays: {others}")
                    continue
                yield from self._removed(kind, name)
            yield kinds.Disown(self._wanted.name, kind, name)

    def _bound_by_others(self, kind: Kind, name: str) -> Iterator[str]:
        """What is not ours and gets messages from an exchange of ours, or sends some there."""
        if kind != "exchange" or is_stand_in(name):
            return
        there = self._there
        for it in there.bindings:
            if self._is_ours(it):
                continue
            if it.source.name == name:
                what = "exchange" if isinstance(it.destination, Exchange) else "queue"
                yield f"{what} `{it.destination.name}`, which is not owned, is bound to it"
            elif it.destination.name == name and isinstance(it.destination, Exchange):
                yield f"it is bound to exchange `{it.source.name}`, which is not owned"
        for exchange in there.every_exchange():
            if exchange.alternate_exchange == name and not self._has("exchange", exchange.name):
                yield f"it is the alternate of exchange `{exchange.name}`, which is not owned"
        for queue in there.queues.values():
            if queue.dead_letter_exchange == name and not self._has("queue", queue.name):
                yield f"it gets the dead letters of queue `{queue.name}`, which is not owned"

    def _has(self, kind: Kind, name: str) -> bool:
        return (kind, name) in self._ours or is_stand_in(name)

    def _removed(self, kind: Kind, name: str) -> Iterator[Change]:
        there = self._there
        if kind == "exchange" and name in there.exchanges:
            yield kinds.RemoveExchange(there.exchanges[name], with_bindings=is_stand_in(name))
        elif kind == "queue" and name in there.queues:
            yield kinds.RemoveQueue(there.queues[name])
        elif kind == "policy" and name in there.policies:
            yield kinds.RemovePolicy(there.policies[name])


def conflicts_between(there: Exchange | Queue, wanted: Exchange | Queue) -> Iterator[Conflict]:
    """The attributes that differ between an object on the broker and the declared one."""
    kind, name = ("exchange" if isinstance(wanted, Exchange) else "queue"), wanted.name
    of_exchange = ("type", "internal") if isinstance(wanted, Exchange) else ()
    for flag in (*of_exchange, "durable", "auto_delete"):
        one, other = getattr(there, flag), getattr(wanted, flag)
        if one != other:
            yield Conflict(kind, name, flag, _shown(one), _shown(other))  # type: ignore[arg-type]
    mine, theirs = comparable_arguments(wanted), comparable_arguments(there)
    for argument in sorted({*mine, *theirs}):
        if _same(mine.get(argument), theirs.get(argument)):
            continue
        was, is_ = theirs.get(argument), mine.get(argument)
        yield Conflict(kind, name, argument, _shown(was), _shown(is_))  # type: ignore[arg-type]


def alike(one: Exchange | Queue, other: Exchange | Queue) -> bool:
    """Whether two objects of one name are the same to the broker."""
    return next(conflicts_between(one, other), None) is None


def _identity(binding: Binding) -> tuple[object, ...]:
    kind = type(binding.destination).__name__
    ends = (binding.source.name, kind, binding.destination.name)
    return (*ends, binding.key, canonical(binding.arguments))


def _same(one: Argument | None, other: Argument | None) -> bool:
    return canonical(one) == canonical(other)


def _shown(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else canonical(value)
