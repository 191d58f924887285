"""Plans between random topologies: every moment of each, looked at by brute force."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from brute_force import BruteForce
from random_changes import random_pair
from random_topologies import WORDS, random_headers
from rich.console import Console
from rich.table import Table

from routewright.compiler.broker.live import Live
from routewright.compiler.broker.ownership import Owned
from routewright.compiler.broker.planning import Plan, make_plan
from routewright.compiler.broker.state import State
from routewright.compiler.broker.steps import Unbind
from routewright.compiler.topology import Topology

Message = tuple[str, str, dict[str, object]]


@dataclass
class Outcome:
    """What was seen of some plans."""

    plans: int = 0
    states: int = 0
    looked_at: int = 0
    met: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def owning(topology: Topology) -> Live:
    """A broker that has a topology, and knows that the topology owns it."""
    names = [
        *(("exchange", it) for it in topology.exchanges),
        *(("queue", it) for it in topology.queues),
        *(("policy", it) for it in topology.policies),
    ]
    return Live(topology, {topology.name: Owned(frozenset(names), marked=True)})  # type: ignore[arg-type]


def examine(seed: int, outcome: Outcome, messages: int = 60) -> Plan:
    """Plan between a random pair, and publish to every state on the way."""
    old, new = random_pair(seed)
    plan = make_plan(new, owning(old))
    outcome.plans += 1
    outcome.met["plans with a stand-in"] += bool(plan.carried_over)
    outcome.met["plans that say no order is without harm"] += bool(plan.violations)
    outcome.met["plans that leave an exchange undecided"] += bool(plan.undecided)
    outcome.met["plans that take something away"] += bool(plan.codes)
    outcome.met["plans with nothing to do"] += not plan.steps
    outcome.met["plans that unbind"] += any(isinstance(it.change, Unbind) for it in plan.steps)
    state, states = State(old), [BruteForce(old)]
    for step in plan.pending:
        state.take(step.change)
        states.append(BruteForce(state.topology()))
    outcome.states += len(states)
    randomly = random.Random(seed)
    for exchange, key, headers in _messages(old, plan, randomly, messages):
        if exchange in plan.undecided or not (
            exchange in old.exchanges and exchange in state.exchanges
        ):
            continue
        outcome.looked_at += 1
        reached = [it.queues(exchange, key, headers) for it in states]
        before, after = reached[0], reached[-1]
        for place, now in enumerate(reached):
            if _right(before, now, after):
                continue
            if any(it.exchange == exchange for it in plan.violations):
                outcome.met["messages gone wrong as the plan had said"] += 1
                break
            outcome.wrong.append(
                f"pair {seed}: `{key}` {headers} on `{exchange}` after step {place}: "
                f"{sorted(before)} before, {sorted(now)} then, {sorted(after)} after"
            )
            break
    if not plan.carried_over and not plan.violations:
        outcome.met["plans by order alone"] += 1
    if {it.identity for it in state.topology().bindings} != {it.identity for it in new.bindings}:
        outcome.wrong.append(f"pair {seed}: the bindings in the end are not those declared")
    return plan


def _right(before: set[str], now: set[str], after: set[str]) -> bool:
    if before and after and not now:
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    outcome, started = Outcome(), time.monotonic()
    for number in range(arguments.pairs):
        examine(arguments.seed * 1_000_000 + number, outcome)
    table = Table("what", "count", title=f"{outcome.plans:,} random pairs")
    table.add_row("states simulated", f"{outcome.states:,}")
    table.add_row("messages sent to every state of their plan", f"{outcome.looked_at:,}")
    for what, count in sorted(outcome.met.items()):
        table.add_row(what, f"{count:,}")
    table.add_row("messages gone wrong unsaid", f"{len(outcome.wrong):,}")
    table.add_row("seconds", f"{time.monotonic() - started:.0f}")
    Console().print(table)
    for line in outcome.wrong[:10]:
        print(line)
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
