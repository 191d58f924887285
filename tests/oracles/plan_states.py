"""Walks through every state of a plan between random topologies, by brute force.

A message that is published to any of these states has to reach what it reached before the plan,
or what it reaches after it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from brute_force import BruteForce
from random_changes import edited, random_pair
from random_topologies import WORDS, random_headers

from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.changes import DeclareExchange, RemoveExchange, RemoveQueue, Unbind
from routewright.compiler.plan.ownership import Owned
from routewright.compiler.plan.plan import Plan, Step
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.make_plan import make_plan
from routewright.compiler.planner.replace_exchange import interrupted
from routewright.compiler.planner.simulated_host import SimulatedHost, after
from routewright.runtime.messages.orders import STAND_IN

Message = tuple[str, str, dict[str, object]]

_SLACK = 40  # steps that killed applies may take more than twice those of one plan


@dataclass
class Examined:
    """What was seen of some plans."""

    plans: int = 0
    states: int = 0
    starts: int = 0  # of applies that are killed after their first step
    looked_at: int = 0
    met: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: int = 0  # messages, by an order without thought
    doubled: int = 0


def owning(topology: Topology) -> VirtualHost:
    """A broker that has a topology, and knows that the topology owns it."""
    names = [
        *(("exchange", it) for it in topology.exchanges),
        *(("queue", it) for it in topology.queues),
        *(("policy", it) for it in topology.policies),
    ]
    return VirtualHost(topology, {topology.name: Owned(frozenset(names), marked=True)})  # type: ignore[arg-type]


def examine(seed: int, examined: Examined, messages: int = 60) -> Plan:
    """Plan between a random pair, and publish to every state on the way."""
    old, new = random_pair(seed)
    plan = make_plan(new, owning(old))
    examined.plans += 1
    examined.met["plans with a stand-in"] += bool(plan.carried_over)
    examined.met["plans that say no order is without harm"] += bool(plan.violations)
    examined.met["plans that leave an exchange undecided"] += bool(plan.undecided)
    examined.met["plans that take something away"] += bool(plan.codes)
    examined.met["plans with nothing to do"] += not plan.steps
    anew = old.exchanges.keys() & {
        it.change.exchange.name for it in plan.steps if isinstance(it.change, DeclareExchange)
    }
    examined.met["plans that make an exchange anew"] += bool(anew)
    examined.met["plans that unbind"] += any(isinstance(it.change, Unbind) for it in plan.steps)
    state, states = SimulatedHost(old), [BruteForce(old)]
    for step in plan.pending:
        state.take(step.change)
        states.append(BruteForce(state.topology()))
    examined.states += len(states)
    randomly = random.Random(seed)
    for exchange, key, headers in _messages(old, plan, randomly, messages):
        if exchange in plan.undecided or not (
            exchange in old.exchanges and exchange in state.exchanges
        ):
            continue
        examined.looked_at += 1
        reached = [_queues(it, exchange, key, headers) for it in states]
        before, after = reached[0], reached[-1]
        for place, now in enumerate(reached):
            if now is None or _right(before or set(), now, after or set()):
                continue
            if any(it.exchange == exchange for it in plan.violations):
                examined.met["messages gone wrong as the plan had said"] += 1
                break
            examined.wrong.append(
                f"pair {seed}: `{key}` {headers} on `{exchange}` after step {place}: "
                f"{before} before, {now} then, {after} after"
            )
            break
    if not plan.carried_over and not plan.violations:
        examined.met["plans by order alone"] += 1
    if {it.identity for it in state.topology().bindings} != {it.identity for it in new.bindings}:
        examined.wrong.append(f"pair {seed}: the bindings in the end are not those declared")
    return plan


def examine_killed(seed: int, examined: Examined, messages: int = 60) -> None:
    """The same pair by an apply that is killed after every single step and started again.

    Each start plans anew from what it finds, which has to come to an end, and all the states
    together have to be as harmless as those of one plan.
    """
    old, new = random_pair(seed)
    live = owning(old)
    first = plan = make_plan(new, live)
    bound = 2 * len(first.pending) + _SLACK
    states, excused, starts = [BruteForce(old)], {*first.undecided}, 0
    while plan.pending:
        excused |= {it.exchange for it in plan.violations} | {*plan.undecided}
        live = after(live, [plan.pending[0].change], new.name)
        states.append(BruteForce(live.topology))
        starts += 1
        if starts > bound:
            examined.wrong.append(f"pair {seed}: killed after every step, it comes to no end")
            return
        plan = make_plan(new, live)
    examined.starts += starts
    examined.met["plans killed after every step"] += 1
    sent = _messages(old, first, random.Random(seed), messages)
    public = (old.exchanges.keys() & new.exchanges.keys()) - excused
    where = f"pair {seed}, killed after every step"
    _publish(where, (it for it in sent if it[0] in public), states, examined, _queues)


def _publish(
    where: str,
    sent: Iterable[Message],
    states: Sequence[BruteForce],
    examined: Examined,
    queues: Callable[..., set[str] | None],
) -> None:
    """Publish messages to every state, and note which go wrong on the way to the last."""
    for exchange, key, headers in sent:
        examined.looked_at += 1
        reached = [queues(it, exchange, key, headers) for it in states]
        before, last = reached[0] or set(), reached[-1] or set()
        for place, now in enumerate(reached):
            if now is not None and not _right(before, now, last):
                examined.wrong.append(
                    f"{where}: `{key}` {headers} on `{exchange}` after step {place}: "
                    f"{before} before, {now} then, {last} after"
                )
                break


def examine_changed_mind(seed: int, examined: Examined, messages: int = 60) -> None:
    """The same pair by an apply that is killed at some step, after which something else is wanted.

    That is the old topology again, or a third one. What is found half-way is the state before.
    """
    old, new = random_pair(seed)
    randomly = random.Random(seed)
    steps = [it.change for it in make_plan(new, owning(old)).pending]
    for killed_after in randomly.sample(range(len(steps)), min(3, len(steps))):
        found = after(owning(old), steps[:killed_after], new.name)
        for wanted in (old, edited(new, randomly)):
            plan = make_plan(wanted, found)
            changes = [it.change for it in plan.pending]
            examined.met["plans after another was killed half-way"] += 1
            state, states = SimulatedHost(found.topology), [BruteForce(found.topology)]
            for change in changes:
                state.take(change)
                states.append(BruteForce(state.topology()))
            where = f"pair {seed}, killed after step {killed_after} for something else"
            if not plan.obstacles and make_plan(wanted, after(found, changes, wanted.name)).steps:
                examined.wrong.append(f"{where}: a second plan is not empty")
            excused = {it.exchange for it in plan.violations} | {*plan.undecided}
            sent = [*_messages(old, plan, randomly, messages)]
            # One that the killed apply had removed is a new one, unless it was making it anew.
            there = found.topology.exchanges.keys() | interrupted(found, wanted)
            public = (there & wanted.exchanges.keys()) - excused
            _publish(where, (it for it in sent if it[0] in public), states, examined, _as_declared)
            back, apart = wanted.exchanges.keys() - there - excused, Examined()
            _publish(where, (it for it in sent if it[0] in back), states, apart, _as_declared)
            examined.met["messages doubled on exchanges that come back"] += len(apart.wrong)


def _as_declared(state: BruteForce, *message: Any) -> set[str] | None:
    """What a message reaches, where a queue that stands in is the one that it stands in for."""
    reached = _queues(state, *message)
    return reached and {it.removeprefix(STAND_IN) for it in reached}


def naive(seed: int, examined: Examined, messages: int = 60) -> None:
    """The same pair by orders without thought, so that the examination is seen to see.

    Removing first loses messages, and adding first doubles them.
    """
    old, new = random_pair(seed)
    plan = make_plan(new, owning(old))
    changes = [it.change for it in plan.pending if not _is_ours(it)]
    for adding_first in (False, True):
        changes.sort(
            key=lambda it: isinstance(it, (Unbind, RemoveQueue, RemoveExchange)) == adding_first
        )
        state, states = SimulatedHost(old), [BruteForce(old)]
        for change in changes:
            state.take(change)
            states.append(BruteForce(state.topology()))
        for exchange, key, headers in _messages(old, plan, random.Random(seed), messages):
            if exchange not in state.exchanges:
                continue
            reached = [it.queues(exchange, key, headers) for it in states]
            before, after = reached[0], reached[-1]
            lost = any(before and after and not now for now in reached)
            examined.lost += lost and not adding_first
            examined.doubled += adding_first and any(
                not (now <= before or now <= after) for now in reached
            )


def _is_ours(step: Step) -> bool:
    return step.why.startswith("stands in")


def _queues(
    state: BruteForce, exchange: str, key: str, headers: dict[str, object]
) -> set[str] | None:
    """What a message reaches; None while publishing fails, for the exchange is made anew."""
    return state.queues(exchange, key, headers) if state.has(exchange) else None


def _right(before: set[str], now: set[str], after: set[str]) -> bool:
    if len(now) < min(len(before), len(after)):
        return False
    return before & after <= now and (now <= before or now <= after)


def _messages(old: Topology, plan: Plan, randomly: random.Random, count: int) -> Iterator[Message]:
    """Random messages, and those that match what changes."""
    public = [name for name, it in old.exchanges.items() if not it.internal]
    if not public:
        return
    keys = [step.change.binding.key for step in plan.steps if isinstance(step.change, Unbind)]
    for _ in range(count):
        words = [randomly.choice(WORDS) for _ in range(randomly.randint(0, 4))]
        if keys and randomly.random() < 0.5:
            words = [
                randomly.choice(WORDS) if it in "*#" and it else it
                for it in randomly.choice(keys).split(".")
            ]
        yield randomly.choice(public), ".".join(words), dict(random_headers(randomly))
