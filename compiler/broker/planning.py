"""The plan that makes a broker match a topology: ordered steps, each with its reason."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from routewright.compiler.broker.changes import Bind, Conflict, DeclareExchange, DeclareQueue
from routewright.compiler.broker.diff import Differences, conflicts_between, differences
from routewright.compiler.broker.live import Live
from routewright.compiler.broker.order import Ordered, order, violating
from routewright.compiler.broker.simulate import Simulation, Violation
from routewright.compiler.broker.standins import PREFIX as STANDS_IN
from routewright.compiler.broker.state import Identity, State
from routewright.compiler.broker.steps import (
    Change,
    Disown,
    Own,
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
    changes, held = [*found.changes], list[Change]()
    codes = _Codes(live, changes)
    if allowed is not None:
        refused = [it for it in changes if (codes.of(it) or "") not in ("", *allowed)]
        held = refused
        changes = _without(changes, refused)
    ordered = order(live.topology, changes, wanted.name)
    describe = _Describe(live, wanted, codes)
    concerns = _concerns(wanted, live)
    return Plan(
        wanted.name,
        live.topology.vhost or "/",
        fingerprint(live, wanted.name, concerns),
        concerns,
        tuple(describe.step(it) for it in ordered.changes),
        tuple(describe.step(it) for it in held),
        ordered.differences,
        tuple(violating(ordered)),
        ordered.undecided,
        ordered.carried_over,
        found.conflicts,
        found.foreign,
        found.in_use,
        tuple(_notes(found, live, ordered)),
    )


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
        yield f"exchange `{name}` {_canonical(flags)}"
    for name in concerns.queues & topology.queues.keys():
        queue = topology.queues[name]
        yield f"queue `{name}` {_canonical((queue.durable, queue.auto_delete, queue.arguments))}"
    for binding in topology.bindings:
        source, end = binding.source.name, binding.destination
        names = concerns.exchanges if isinstance(end, Exchange) else concerns.queues
        if source in concerns.exchanges or end.name in names:
            yield f"{Bind(binding)} {_canonical(binding.arguments)}"
    for policy in topology.policies.values():
        said = (policy.pattern, policy.definition, float(policy.priority), policy.apply_to)
        yield f"policy `{policy.name}` {_canonical(said)}"


class _Codes:
    """What steps may take away."""

    def __init__(self, live: Live, changes: Iterable[Change]) -> None:
        self._live = live
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
            case RemoveQueue():
                return "remove-queue"
            case RemoveExchange(_, stands_in):
                return None if stands_in else "remove-exchange"
            case RemovePolicy():
                return "remove-policy"
            case Replace(_, new):
                return "replace-exchange" if isinstance(new, Exchange) else "replace-queue"
            case SetPolicy():
                return "drop-messages" if any(_tightened(change, self._live.topology)) else None
            case _:
                return None


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

    def __init__(self, live: Live, wanted: Topology, codes: _Codes) -> None:
        self._live, self._wanted, self._codes = live, wanted, codes

    def step(self, change: Change) -> Step:
        return Step(
            change,
            self._why(change),
            self._destroys(change),
            self._codes.of(change),
            withheld=isinstance(change, Replace),
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
                again = any(it.identity == binding.identity for it in self._wanted.bindings)
                return "made again once it leads elsewhere" if again else "not declared any more"
            case SetPolicy(policy):
                there = policy.name in self._live.topology.policies
                return "declared otherwise" if there else "declared, and not there"
            case Replace(old, new):
                what = ", ".join(_differing(old, new))
                return f"not carried out: {what} cannot be changed, and needs a replacement"
            case RemoveExchange() | RemoveQueue() | RemovePolicy():
                return "owned, and not declared any more"
            case Disown():
                return "not declared any more"

    def _destroys(self, change: Change) -> str:
        match change:
            case RemoveQueue(queue):
                return f"{self._counts(queue)}; refused by the broker unless empty and unused"
            case RemoveExchange(exchange, stands_in) if not stands_in:
                return f"publishing to `{exchange.name}` fails with 404 from then on"
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
        counts = self._live.counts_of(queue.name)
        messages = f"{counts.messages:,} message{'' if counts.messages == 1 else 's'}"
        return f"{messages}, {counts.consumers} consumer{'' if counts.consumers == 1 else 's'}"


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
        case Own(_, "exchange", name) | Disown(_, "exchange", name):
            names = (name,)
        case _:
            pass
    return any(it.startswith(STANDS_IN) for it in names)


def _concerns(wanted: Topology, live: Live) -> Concerns:
    owned = live.owned_by(wanted.name)
    return Concerns(
        frozenset({*wanted.exchanges, *owned.of_kind("exchange")}),
        frozenset({*wanted.queues, *owned.of_kind("queue")}),
    )


def _notes(found: Differences, live: Live, ordered: Ordered) -> Iterator[str]:
    yield from live.unseen
    if found.unowned:
        listed = ", ".join(f"{kind} `{name}`" for kind, name in found.unowned[:5])
        more = f" and {len(found.unowned) - 5} more" if len(found.unowned) > 5 else ""  # noqa: PLR2004
        yield (
            f"not owned, and therefore never removed: {listed}{more}; --adopt takes over "
            "what is there"
        )
    for exchange in ordered.carried_over:
        yield (
            f"the bindings of exchange `{exchange}` cannot change one by one without losing or "
            "doubling a key, so that exchanges stand in for it meanwhile"
        )
    for exchange in ordered.undecided:
        yield (
            f"nothing is proved of exchange `{exchange}`: its keys fall into too many classes, or "
            "meet an exchange of a plugin's type"
        )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=_plain)


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else list(value)
