"""The plan that makes a broker match a topology: ordered steps, each with its reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.plan.approvals import CODES, Code
from routewright.compiler.plan.changes import (
    Change,
    Disown,
    RemoveExchange,
    RemovePolicy,
    RemoveQueue,
    Replace,
)
from routewright.compiler.plan.fingerprint import concerns_of, fingerprint
from routewright.compiler.plan.plan import Plan
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.differences import Differences, differences
from routewright.compiler.planner.needed_approvals import NeededApprovals, falls_no_more, lowered
from routewright.compiler.planner.obstacle import obstacle
from routewright.compiler.planner.order import Ordered, order, violating
from routewright.compiler.planner.reasons import Describe, notes
from routewright.compiler.planner.replace_exchange import begun, lift
from routewright.compiler.planner.replace_queue import emptied, meanwhile, with_moves
from routewright.compiler.planner.resume import gone_on_with, unfinished
from routewright.compiler.planner.sends_by_name import senders
from routewright.compiler.planner.simulated_host import after


def make_plan(
    wanted: Topology,
    host: VirtualHost,
    *,
    adopt: bool = False,
    allowed: Collection[Code] | None = None,
) -> Plan:
    """Plan the way from a broker as it is to a topology.

    Args:
        wanted: what shall be there, its delays lowered to plain objects.
        host: what is there.
        adopt: take over what is there under a declared name.
        allowed: leave out the steps with other codes; None leaves out none.
    """
    found = differences(wanted, host, adopt=adopt)
    replaced, kept = _replacements(found, host, wanted, allowed)
    parts = [*_parts(wanted, host, replaced, adopt=adopt, allowed=allowed)]
    if kept:
        parts.append(_Part(host, Ordered(tuple(kept)), NeededApprovals(host, wanted, ()), ()))
    concerns = concerns_of(wanted, host)
    described = [(it, Describe(it.host, host, wanted, it.codes)) for it in parts]
    held = [
        replace(describe.step(it), code=code)
        for part, describe in described
        for it, code in part.held
    ]
    return Plan(
        wanted.name,
        host.topology.vhost or "/",
        fingerprint(host, wanted.name, concerns),
        concerns,
        tuple(describe.step(it) for part, describe in described for it in part.ordered.changes),
        tuple({(str(it.change), it.code): it for it in held}.values()),
        tuple(it for part in parts for it in part.ordered.differences),
        tuple(it for part in parts for it in violating(part.ordered)),
        tuple({name: None for part in parts for name in part.ordered.undecided}),
        tuple({name: None for part in parts for name in part.ordered.carried_over}),
        found.conflicts,
        found.foreign,
        found.in_use,
        tuple(notes(found, host, [it.ordered for it in parts], replaced)),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a plan: what it begins with, its changes, and those left out for a code."""

    host: VirtualHost
    ordered: Ordered
    codes: NeededApprovals
    held: tuple[tuple[Change, Code], ...]


def _replacements(
    found: Differences, host: VirtualHost, wanted: Topology, allowed: Collection[Code] | None
) -> tuple[list[Replace], list[Replace]]:
    """The things to be replaced, and those that cannot be."""
    replacing = [it for it in found.changes if isinstance(it, Replace)]
    possible = [it for it in replacing if obstacle(it, host, wanted) is None]
    kept = [it for it in replacing if it not in possible]
    with_leave = [
        it for it in possible if allowed is None or _replacing(it, host, wanted).issubset(allowed)
    ]
    return with_leave, kept


def _codes_of(
    change: Change, codes: NeededApprovals, host: VirtualHost, wanted: Topology
) -> Collection[Code]:
    if isinstance(change, Replace):
        needed = _replacing(change, host, wanted)
        return [it for it in CODES if it in needed]
    code = codes.of(change)
    return [code] if code else []


def _replacing(change: Replace, host: VirtualHost, wanted: Topology) -> set[Code]:
    codes: set[Code] = {"replace-queue" if isinstance(change.old, Queue) else "replace-exchange"}
    if senders(change.old, host.topology, wanted):
        codes.add("name-gap")
    if lowered(change, host, wanted):
        codes.add("drop-messages")
    if isinstance(change.old, Exchange) and falls_no_more(change.old, host, wanted):
        codes.add("lose-keys")
    return codes


def _parts(
    wanted: Topology,
    host: VirtualHost,
    replaced: Collection[Replace],
    *,
    adopt: bool,
    allowed: Collection[Code] | None,
) -> Iterator[_Part]:
    """The plan in stretches: exchanges made anew, then the rest.

    The rest is in two, with queues that are made anew emptied and removed between.
    """
    new = {it.new.name for it in replaced if isinstance(it.new, Exchange)}
    for name in sorted(begun(host, wanted) | new):
        lifted = lift(name, wanted, host)
        if lifted is not None:
            yield _Part(host, lifted.ordered, NeededApprovals(host, wanted, ()), ())
            host = lifted.host
    replaced = [it for it in replaced if isinstance(it.new, Queue)]
    if not replaced:
        yield _part(wanted, host, adopt=adopt, allowed=allowed)
        return
    halfway = meanwhile(wanted, replaced, host)
    lower = {it.old.name for it in replaced if lowered(it, host, wanted)}
    first = _part(halfway, host, adopt=adopt, allowed=allowed, lower=lower)
    changes = [*first.ordered.changes, *emptied(replaced, host, wanted)]
    yield replace(first, ordered=replace(first.ordered, changes=tuple(changes)))
    gone = after(host, changes, wanted.name)
    yield _part(wanted, gone, adopt=adopt, allowed=allowed)


def _part(
    wanted: Topology,
    host: VirtualHost,
    *,
    adopt: bool,
    allowed: Collection[Code] | None,
    lower: Collection[str] = (),
) -> _Part:
    """The changes between two states, which go on with what an earlier apply has begun."""
    for left in unfinished(host, wanted.name):
        part = _stretch(
            wanted, left.picture, left.number, adopt=adopt, allowed=allowed, lower=lower
        )
        ordered = gone_on_with(part.ordered, left, host, wanted.name)
        if ordered is not None:
            return replace(part, host=host, ordered=ordered)
    return _stretch(wanted, host, None, adopt=adopt, allowed=allowed, lower=lower)


def _stretch(
    wanted: Topology,
    host: VirtualHost,
    number: int | None,
    *,
    adopt: bool,
    allowed: Collection[Code] | None,
    lower: Collection[str],
) -> _Part:
    found = differences(wanted, host, adopt=adopt)
    changes = [it for it in found.changes if not _is_kept(it, host, wanted)]
    codes = NeededApprovals(host, wanted, changes, lower)
    held: list[tuple[Change, Code]] = [
        (it, code)
        for it in changes
        for code in _codes_of(it, codes, host, wanted)
        if allowed is not None and code not in allowed
    ]
    changes = [*with_moves(_without(changes, [it for it, _ in held]), host, wanted)]
    ordered = order(host.topology, changes, wanted.name, number, host.exclusive)
    return _Part(host, ordered, codes, tuple(held))


def _is_kept(change: Change, host: VirtualHost, wanted: Topology) -> bool:
    return isinstance(change, Replace) and obstacle(change, host, wanted) is not None


def _without(changes: Iterable[Change], refused: Iterable[Change]) -> list[Change]:
    """The changes without some, and without taking down what stays."""
    out = {id(it) for it in refused}
    stay = {
        ("queue", it.queue.name)
        if isinstance(it, RemoveQueue)
        else ("exchange", it.exchange.name)
        if isinstance(it, RemoveExchange)
        else ("policy", it.policy.name)
        for it in refused
        if isinstance(it, (RemoveQueue, RemoveExchange, RemovePolicy))
    }
    return [
        it
        for it in changes
        if id(it) not in out and not (isinstance(it, Disown) and (it.kind, it.name) in stay)
    ]
