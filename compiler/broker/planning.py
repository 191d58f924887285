"""The plan that makes a broker match a topology: ordered steps, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

from routewright.compiler.broker import lifting, replacement
from routewright.compiler.broker.by_name import senders
from routewright.compiler.broker.canonical import canonical
from routewright.compiler.broker.changes import Bind, Conflict, DeclareExchange, DeclareQueue
from routewright.compiler.broker.diff import Differences, conflicts_between, differences
from routewright.compiler.broker.foresee import after
from routewright.compiler.broker.lifting import begun, lift
from routewright.compiler.broker.live import Live
from routewright.compiler.broker.order import Ordered, order, violating
from routewright.compiler.broker.replacement import (
    emptied,
    is_stand_in,
    meanwhile,
    with_moves,
)
from routewright.compiler.broker.resume import gone_on_with, unfinished
from routewright.compiler.broker.simulate import Simulation, Violation
from routewright.compiler.broker.standins import PREFIX as STANDS_IN
from routewright.compiler.broker.state import Identity, State
from routewright.compiler.broker.steps import (
    Change,
    Disown,
    Move,
    Own,
    Release,
    RemoveExchange,
    RemovePolicy,
    RemoveQueue,
    Replace,
    SetPolicy,
    Step,
    Unbind,
)
from routewright.compiler.compare import Difference
from routewright.compiler.leave import Code
from routewright.compiler.policy_match import with_policy
from routewright.compiler.topology import Exchange, Queue, Topology

_LIMITS = ("x-message-ttl", "x-max-length", "x-max-length-bytes", "x-expires")


@dataclass(frozen=True, slots=True)
class Concerns:
    """The names of all that a plan looks at: what is declared, and what is owned."""

    exchanges: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done to a broker, and what was seen of it when that was decided."""

    topology: str
    vhost: str
    fingerprint: str
    concerns: Concerns
    steps: tuple[Step, ...] = ()
    held: tuple[Step, ...] = ()  # left out, for want of leave
    differences: tuple[Difference, ...] = ()
    violations: tuple[Violation, ...] = ()  # the first of each kind
    undecided: tuple[str, ...] = ()
    carried_over: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    foreign: tuple[str, ...] = ()
    in_use: tuple[str, ...] = ()  # what stays for others' sake, a sentence for each
    notes: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[Step, ...]:
        """The steps that an apply carries out."""
        return tuple(it for it in self.steps if not it.withheld)

    @property
    def changing(self) -> tuple[Step, ...]:
        """The steps that change something, or would; bindings made once more do not."""
        return tuple(
            it for it in self.steps if not (isinstance(it.change, Bind) and not it.change.new)
        )

    @property
    def codes(self) -> tuple[Code, ...]:
        """What has to be allowed for all of it."""
        return tuple(sorted({it.code for it in self.pending if it.code}))

    @property
    def replacements(self) -> tuple[Step, ...]:
        """What cannot be changed, and is not carried out."""
        return tuple(it for it in self.steps if it.withheld)

    @property
    def obstacles(self) -> bool:
        """Whether something is left that no apply of this plan does, or does without harm."""
        return bool(self.replacements or self.foreign or self.in_use or self.violations)


def make_plan(
    wanted: Topology,
    live: Live,
    *,
    adopt: bool = False,
    allowed: Collection[Code] | None = None,
) -> Plan:
    """Plan the way from a broker as it is to a topology.

    Args:
        wanted: what shall be there, its delays lowered to plain objects.
        live: what is there.
        adopt: take over what is there under a declared name.
        allowed: leave out the steps with other codes; None leaves out none.
    """
    found = differences(wanted, live, adopt=adopt)
    replaced, kept = _replacements(found, live, wanted, allowed)
    parts = [*_parts(wanted, live, replaced, adopt=adopt, allowed=allowed)]
    if kept:
        parts.append(_Part(live, Ordered(tuple(kept)), _Codes(live, wanted, ()), ()))
    concerns = _concerns(wanted, live)
    described = [(it, _Describe(it.live, live, wanted, it.codes)) for it in parts]
    held = [describe.step(it) for part, describe in described for it in part.held]
    return Plan(
        wanted.name,
        live.topology.vhost or "/",
        fingerprint(live, wanted.name, concerns),
        concerns,
        tuple(describe.step(it) for part, describe in described for it in part.ordered.changes),
        tuple({str(it.change): it for it in held}.values()),
        tuple(it for part in parts for it in part.ordered.differences),
        tuple(it for part in parts for it in violating(part.ordered)),
        tuple({name: None for part in parts for name in part.ordered.undecided}),
        tuple({name: None for part in parts for name in part.ordered.carried_over}),
        found.conflicts,
        found.foreign,
        found.in_use,
        tuple(_notes(found, live, parts, replaced)),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a plan: what it begins with, its changes, and those left out."""

    live: Live
    ordered: Ordered
    codes: _Codes
    held: tuple[Change, ...]


def _replacements(
    found: Differences, live: Live, wanted: Topology, allowed: Collection[Code] | None
) -> tuple[list[Replace], list[Replace]]:
    """The things to be replaced, and those that cannot be."""
    replacing = [it for it in found.changes if isinstance(it, Replace)]
    possible = [it for it in replacing if _obstacle(it, live, wanted) is None]
    kept = [it for it in replacing if it not in possible]
    with_leave = [
        it for it in possible if allowed is None or _codes_of(it, live, wanted).issubset(allowed)
    ]
    return with_leave, kept


def _codes_of(change: Replace, live: Live, wanted: Topology) -> set[Code]:
    codes: set[Code] = {"replace-queue" if isinstance(change.old, Queue) else "replace-exchange"}
    return codes | ({"name-gap"} if senders(change.old, live.topology, wanted) else set())


def _obstacle(change: Replace, live: Live, wanted: Topology) -> str | None:
    """Why something cannot be replaced, if it cannot."""
    if isinstance(change.old, Queue):
        return replacement.obstacle(change, live, wanted)
    return lifting.obstacle(change, live, wanted)


def _parts(
    wanted: Topology,
    live: Live,
    replaced: Collection[Replace],
    *,
    adopt: bool,
    allowed: Collection[Code] | None,
) -> Iterator[_Part]:
    """The plan in stretches: exchanges made anew, then the rest.

    The rest is in two, with queues that are made anew emptied and removed between.
    """
    new = {it.new.name for it in replaced if isinstance(it.new, Exchange)}
    for name in sorted(begun(live, wanted) | new):
        lifted = lift(name, wanted, live)
        if lifted is not None:
            yield _Part(live, lifted.ordered, _Codes(live, wanted, ()), ())
            live = lifted.live
    replaced = [it for it in replaced if isinstance(it.new, Queue)]
    if not replaced:
        yield _part(wanted, live, adopt=adopt, allowed=allowed)
        return
    halfway = meanwhile(wanted, replaced)
    first = _part(halfway, live, adopt=adopt, allowed=allowed)
    changes = [*first.ordered.changes, *emptied(replaced)]
    yield replace(first, ordered=replace(first.ordered, changes=tuple(changes)))
    gone = after(live, changes, wanted.name)
    yield _part(wanted, gone, adopt=adopt, allowed=allowed)


def _part(wanted: Topology, live: Live, *, adopt: bool, allowed: Collection[Code] | None) -> _Part:
    """The changes between two states, which go on with what an earlier apply has begun."""
    for left in unfinished(live, wanted.name):
        part = _stretch(wanted, left.picture, left.number, adopt=adopt, allowed=allowed)
        ordered = gone_on_with(part.ordered, left, live, wanted.name)
        if ordered is not None:
            return replace(part, live=live, ordered=ordered)
    return _stretch(wanted, live, None, adopt=adopt, allowed=allowed)


def _stretch(
    wanted: Topology,
    live: Live,
    number: int | None,
    *,
    adopt: bool,
    allowed: Collection[Code] | None,
) -> _Part:
    found = differences(wanted, live, adopt=adopt)
    changes = [it for it in found.changes if not _is_kept(it, live, wanted)]
    codes = _Codes(live, wanted, changes)
    held = [
        it for it in changes if allowed is not None and (codes.of(it) or "") not in ("", *allowed)
    ]
    changes = [*with_moves(_without(changes, held), wanted)]
    return _Part(live, order(live.topology, changes, wanted.name, number), codes, tuple(held))


def _is_kept(change: Change, live: Live, wanted: Topology) -> bool:
    return isinstance(change, Replace) and _obstacle(change, live, wanted) is not None


def expected(plan: Plan, live: Live) -> Topology:
    """What the broker has once a plan was carried out on what it was made for."""
    state = State(live.topology)
    for step in plan.pending:
        state.take(step.change)
    return state.topology()


def fingerprint(live: Live, owner: str, concerns: Concerns) -> str:
    """A hash of all that a plan depends on: things with these names, and what is bound to them."""
    return "sha256:" + sha256(json.dumps(seen(live, owner, concerns)).encode()).hexdigest()


def seen(live: Live, owner: str, concerns: Concerns) -> list[str]:
    """What a plan depends on, a line for each thing, sorted."""
    lines = [*_things(live.topology, concerns)]
    lines += [f"owned {kind} `{name}`" for kind, name in live.owned_by(owner).names]
    return sorted(lines)


def _things(topology: Topology, concerns: Concerns) -> Iterator[str]:
    for name in concerns.exchanges & topology.exchanges.keys():
        it = topology.exchanges[name]
        flags = (it.type, it.durable, it.auto_delete, it.internal, it.arguments)
        yield f"exchange `{name}` {canonical(flags)}"
    for name in concerns.queues & topology.queues.keys():
        queue = topology.queues[name]
        yield f"queue `{name}` {canonical((queue.durable, queue.auto_delete, queue.arguments))}"
    for binding in topology.bindings:
        source, end = binding.source.name, binding.destination
        names = concerns.exchanges if isinstance(end, Exchange) else concerns.queues
        if source in concerns.exchanges or end.name in names:
            yield f"{Bind(binding)} {canonical(binding.arguments)}"
    for policy in topology.policies.values():
        said = (policy.pattern, policy.definition, float(policy.priority), policy.apply_to)
        yield f"policy `{policy.name}` {canonical(said)}"


class _Codes:
    """What steps may take away."""

    def __init__(self, live: Live, wanted: Topology, changes: Iterable[Change]) -> None:
        self._live, self._wanted = live, wanted
        changes = [*changes]
        removing = any(isinstance(it, (Unbind, RemoveQueue, RemoveExchange)) for it in changes)
        self._lossy: frozenset[Identity] = (
            Simulation(live.topology, changes).lossy() if removing else frozenset()
        )
        self._removed = {it.binding.identity for it in changes if isinstance(it, Unbind)}

    def of(self, change: Change) -> Code | None:
        match change:
            case Unbind(binding):
                stale = binding.identity in self._removed  # unlike what is bound again later
                return "lose-keys" if stale and binding.identity in self._lossy else None
            case RemoveQueue(queue):
                if is_stand_in(queue.name):
                    return None
                return "replace-queue" if queue.name in self._wanted.queues else "remove-queue"
            case RemoveExchange(exchange):
                if exchange.name.startswith(STANDS_IN):
                    return None
                declared = exchange.name in self._wanted.exchanges
                return "replace-exchange" if declared else "remove-exchange"
            case DeclareExchange(exchange):
                return self._of_new(self._live.topology.exchanges.get(exchange.name))
            case DeclareQueue(queue):
                return self._of_new(self._live.topology.queues.get(queue.name))
            case RemovePolicy(policy):
                return None if policy.name.startswith(STANDS_IN) else "remove-policy"
            case Replace(_, Queue()):
                return "replace-queue"
            case Replace(_, Exchange()):
                return "replace-exchange"
            case SetPolicy():
                return "drop-messages" if any(_tightened(change, self._live.topology)) else None
            case _:
                return None

    def _of_new(self, before: Exchange | Queue | None) -> Code | None:
        """What making a thing anew takes, if one of its name was there before."""
        sent = before is not None and senders(before, self._live.topology, self._wanted)
        return "name-gap" if sent else None


def _tightened(change: SetPolicy, topology: Topology) -> Iterator[str]:
    """The queues that are there and get a lower limit by a policy."""
    before = topology.policies.values()
    after = {**topology.policies, change.policy.name: change.policy}.values()
    for name, found in topology.queues.items():
        queue = replace(found, policy=None)
        was, is_ = with_policy(queue, before).effective, with_policy(queue, after).effective
        for limit in _LIMITS:
            old, new = was.get(limit), is_.get(limit)
            if new != old and isinstance(new, int) and (not isinstance(old, int) or new < old):
                yield name
                break


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


class _Describe:
    """Says of each change why it is made, and what it could destroy."""

    def __init__(self, live: Live, first: Live, wanted: Topology, codes: _Codes) -> None:
        self._live, self._first, self._wanted, self._codes = live, first, wanted, codes
        self._bound = {it.identity for it in wanted.bindings}

    def step(self, change: Change) -> Step:
        return Step(
            change,
            self._why(change),
            self._destroys(change),
            self._codes.of(change),
            withheld=isinstance(change, Replace)
            and _obstacle(change, self._live, self._wanted) is not None,
        )

    def _why(self, change: Change) -> str:
        if _stands_in(change):
            return "stands in while bindings change"
        match change:
            case Own():
                return "to know it again when it is declared no more"
            case DeclareExchange() | DeclareQueue():
                return "declared, and not there"
            case Bind(_, new):
                return "declared, and not there" if new else "declared, and AMQP cannot tell"
            case Unbind(binding):
                again = binding.identity in self._bound
                return "made again once it leads elsewhere" if again else "not declared any more"
            case SetPolicy(policy):
                there = policy.name in self._live.topology.policies
                return "declared otherwise" if there else "declared, and not there"
            case Replace(old, new):
                what = ", ".join(_differing(old, new))
                why = _obstacle(change, self._live, self._wanted)
                return f"{what} cannot be changed" + (f", and {why}" if why else "")
            case RemoveQueue(queue) if queue.name in self._wanted.queues:
                return self._why_anew(queue, self._wanted.queues[queue.name])
            case RemoveExchange(exchange) if exchange.name in self._wanted.exchanges:
                return self._why_anew(exchange, self._wanted.exchanges[exchange.name])
            case Release(queue):
                return _who_leaves(self._first, queue)
            case Move():
                return "each confirmed there before it is gone here"
            case RemoveExchange() | RemoveQueue() | RemovePolicy():
                return "owned, and not declared any more"
            case Disown():
                return "not declared any more"

    def _why_anew(self, old: Exchange | Queue, new: Exchange | Queue) -> str:
        return f"{', '.join(_differing(old, new))} cannot be changed, and it is made anew"

    def _destroys(self, change: Change) -> str:
        match change:
            case RemoveQueue(queue):
                return f"{self._counts(queue)}; {_how_removed(queue)}"
            case RemoveExchange(exchange) if exchange.name in self._wanted.exchanges:
                return f"publishing to `{exchange.name}` fails with 404 until the next step"
            case RemoveExchange(exchange) if not exchange.name.startswith(STANDS_IN):
                return f"publishing to `{exchange.name}` fails with 404 from then on"
            case DeclareExchange() | DeclareQueue() if self._codes.of(change):
                thing = change.exchange if isinstance(change, DeclareExchange) else change.queue
                lost = ", ".join(senders(thing, self._live.topology, self._wanted))
                return f"lost if it comes between this step and the last: {lost}"
            case Replace(Queue() as queue, _):
                return self._counts(queue)
            case Unbind(binding) if self._codes.of(change):
                return f"keys that match `{binding.key}` reach no queue from then on"
            case RemovePolicy(policy):
                return f"what it matches loses {', '.join(sorted(policy.definition))}"
            case SetPolicy():
                queues = sorted(_tightened(change, self._live.topology))
                counts = (f"`{it}` has {self._live.counts_of(it).messages}" for it in queues[:5])
                return f"messages over the new limit: {', '.join(counts)}" if queues else ""
            case _:
                return ""

    def _counts(self, queue: Queue) -> str:
        counts = self._first.counts_of(queue.name)
        messages = f"{counts.messages:,} message{'' if counts.messages == 1 else 's'}"
        return f"{messages}, {counts.consumers} consumer{'' if counts.consumers == 1 else 's'}"


def _who_leaves(live: Live, queue: Exchange | Queue) -> str:
    if queue.name not in live.topology.queues:
        return "those that have moved there"
    workers, others = live.workers_of(queue.name)
    told = f"{workers} consumer{'' if workers == 1 else 's'} of workers told to move"
    return f"{told}, {others} other{'' if others == 1 else 's'} waited for"


def _how_removed(queue: Queue) -> str:
    if queue.type == "classic":
        return "refused by the broker unless empty and unused"
    return (
        f"refused unless empty and unused, which of a {queue.type} queue is seen right before: "
        "what the default exchange puts there in that moment goes with it"
    )


def _differing(old: Exchange | Queue, new: Exchange | Queue) -> Iterator[str]:
    for it in conflicts_between(old, new):
        yield f"`{it.argument}`"


def _stands_in(change: Change) -> bool:
    names: tuple[str, ...] = ()
    match change:
        case Bind(binding) | Unbind(binding):
            names = (binding.source.name, binding.destination.name)
        case DeclareExchange(exchange) | RemoveExchange(exchange):
            names = (exchange.name,)
        case Own(_, _, name) | Disown(_, _, name):
            names = (name,)
        case DeclareQueue(queue) | RemoveQueue(queue):
            names = (queue.name,)
        case SetPolicy(policy) | RemovePolicy(policy):
            names = (policy.name,)
        case _:
            pass
    return any(it.startswith(STANDS_IN) for it in names)


def _concerns(wanted: Topology, live: Live) -> Concerns:
    owned = live.owned_by(wanted.name)
    return Concerns(
        frozenset({*wanted.exchanges, *owned.of_kind("exchange")}),
        frozenset({*wanted.queues, *owned.of_kind("queue")}),
    )


def _notes(
    found: Differences, live: Live, parts: Collection[_Part], replaced: Iterable[Replace]
) -> Iterator[str]:
    yield from live.unseen
    for it in replaced:
        if isinstance(it.new, Exchange):
            yield (
                f"{it} is made anew: publishers are told 404 by the broker for a moment, and have "
                "to publish again what was not confirmed"
            )
            continue
        yield (
            f"{it} is replaced: {_who_leaves(live, it.old)}, before anything is changed. What is "
            "published to it by name through the default exchange while it is made anew "
            "reaches no queue; messages that wait in it come after newer ones"
        )
    if found.unowned:
        listed = ", ".join(f"{kind} `{name}`" for kind, name in found.unowned[:5])
        more = f" and {len(found.unowned) - 5} more" if len(found.unowned) > 5 else ""  # noqa: PLR2004
        yield (
            f"not owned, and therefore never removed: {listed}{more}; --adopt takes over "
            "what is there"
        )
    carried_over = {name: None for part in parts for name in part.ordered.carried_over}
    undecided = {name: None for part in parts for name in part.ordered.undecided}
    for exchange in carried_over:
        yield (
            f"the bindings of exchange `{exchange}` cannot change one by one without losing or "
            "doubling a key, so that exchanges stand in for it meanwhile"
        )
    for exchange in undecided:
        yield (
            f"nothing is proved of exchange `{exchange}`: its keys fall into too many classes, or "
            "meet an exchange of a plugin's type"
        )
