"""Going on with exchanges that stand in, where an earlier apply was killed between its steps.

Nothing is remembered of that apply but what stands on the broker. As long as not everything has
been switched over, its way is taken up where it ended: the broker is pictured as it was before, the
plan is made for that, with the same names, and what is done of it already is left out. So each
apply gets further, however early it is killed. After that, or where what stands there is not what
would be put there now, a plan is made for the broker as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from routewright.compiler.model.topology import Binding, Exchange, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.ownership import Owned
from routewright.compiler.plan.standin_names import copy_name, read_name
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.differences import alike
from routewright.compiler.planner.order import Ordered, judged
from routewright.compiler.planner.simulated_host import SimulatedHost, remaining


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What stands in since an earlier apply, and the broker as it would be without it.

    It is `in_use` once messages come to it.
    """

    number: int
    names: frozenset[str]
    in_use: bool
    picture: VirtualHost


def unfinished(host: VirtualHost, owner: str) -> Iterator[Unfinished]:
    """The ways that earlier applies have begun and not switched over to the end."""
    owned = host.owned_by(owner)
    numbered: dict[int, set[str]] = {}
    for name in owned.of_kind("exchange"):
        read = read_name(name)
        if read:
            numbered.setdefault(read.number, set()).add(name)
    for number, names in sorted(numbered.items()):
        switched = _switched(host.topology, number)
        if switched and all(switched.values()):
            continue
        rest = Owned(owned.names - {("exchange", name) for name in names}, marked=True)
        yield Unfinished(
            number,
            frozenset(names),
            bool(switched),
            replace(
                host,
                topology=_before(host.topology, number, names, in_use=bool(switched)),
                owned={**host.owned, owner: rest},
            ),
        )


def _switched(topology: Topology, number: int) -> dict[str, bool]:
    """The exchanges that messages come from, and whether they go to what shall be already."""
    bound = {(it.source.name, it.destination.name) for it in topology.bindings}
    return {
        name: (switch, copy_name(number, "new", name)) in bound
        for name in _names(topology)
        if (name, switch := copy_name(number, "switch", name)) in bound
    }


def _names(topology: Topology) -> Iterator[str]:
    return (it.name for it in topology.every_exchange() if it.name and not read_name(it.name))


def _before(topology: Topology, number: int, names: Iterable[str], *, in_use: bool) -> Topology:
    """A virtual host as it was before some exchanges stood in."""
    state = SimulatedHost(topology)
    for name in names:
        if name in state.exchanges:
            state.take(kinds.RemoveExchange(state.exchanges[name], with_bindings=True))
    if in_use:
        copies = {copy_name(number, "old", it): it for it in _names(topology)}
        for it in topology.bindings:
            if it.source.name in copies:
                state.take(kinds.Bind(_mapped(it, copies, topology)))
    return state.topology()


def _mapped(binding: Binding, copies: dict[str, str], topology: Topology) -> Binding:
    """The binding that a copy was given for one of the exchange it stands in for."""
    every = {it.name: it for it in topology.every_exchange()}
    end = binding.destination
    if isinstance(end, Exchange):
        end = every[copies.get(end.name, end.name)]
    return replace(binding, source=every[copies[binding.source.name]], destination=end)


def gone_on_with(
    ordered: Ordered, left: Unfinished, host: VirtualHost, owner: str
) -> Ordered | None:
    """What is left to do of a plan that was made for the picture.

    Args:
        ordered: that plan.
        left: what stands in already.
        host: the broker as it is.
        owner: the topology's name.

    None where what stands there is not what the plan would put there.
    """
    if left.in_use and ordered.number != left.number:
        return None
    tidied = _tidied(ordered.changes, left, host, owner)
    if tidied is None:
        return None
    changes = [*remaining([*tidied[0], *ordered.changes, *tidied[1]], host, owner)]
    found = judged(host.topology, changes, ordered.carried_over)
    return None if len(found.violations) > len(ordered.violations) else found


def _tidied(
    planned: Sequence[Change], left: Unfinished, host: VirtualHost, owner: str
) -> tuple[list[Change], list[Change]] | None:
    """What is to be taken away first, and what last; None if messages come to it."""
    there = host.topology
    declared = {
        it.exchange.name: it.exchange for it in planned if isinstance(it, kinds.DeclareExchange)
    }
    bound = {it.binding.identity for it in planned if isinstance(it, kinds.Bind)}
    first: list[Change] = []
    last: list[Change] = []
    for name in sorted(left.names):
        exchange, wanted = there.exchanges.get(name), declared.get(name)
        if wanted is None or (exchange is not None and not alike(exchange, wanted)):
            if left.in_use:
                return None
            if exchange is not None:
                (last if wanted is None else first).append(
                    kinds.RemoveExchange(exchange, with_bindings=True)
                )
            if wanted is None:
                last.append(kinds.Disown(owner, "exchange", name))
            continue
        extra = [it for it in there.bindings if it.source.name == name and it.identity not in bound]
        read = read_name(name)
        if extra and left.in_use and (read is None or read.role != "new"):
            return None
        first += [kinds.Unbind(it) for it in extra]
    return first, last
