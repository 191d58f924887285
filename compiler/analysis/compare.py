"""Two topologies compared by what they do: which keys go elsewhere, with the smallest of each kind.

Both graphs are walked side by side with all keys at a time, so that "equivalent" is proved and not
sampled. What a file or a broker calls its exchanges in between does not matter: compared is what
reaches which queue from the exchanges that messages are published to. Where one side lacks such an
exchange, and the other's has an alternate exchange that both have, as the front of a carve-out has,
it is that one that messages went to before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from routewright.compiler.analysis.compare_dead_letters import (
    ChangedReach,
    DeadLetterDifference,
    compare_dead_letters,
)
from routewright.compiler.keys.header_sets import Undecidable, all_headers, printed
from routewright.compiler.keys.patterns import Undecided
from routewright.compiler.model.task_keys import ANY_KEYS, Keys, keys_of, placeholders
from routewright.compiler.model.topology import Exchange, Task, Topology
from routewright.compiler.routing.delivery import Delivery, Outcome, Reach, listed
from routewright.compiler.routing.routing import Routing, headers_of
from routewright.compiler.routing.side_by_side import with_headers


@dataclass(frozen=True, slots=True)
class Difference(ChangedReach):
    """A class of keys that go elsewhere: the smallest, what they reached and reach, the tasks."""

    exchange: str
    witness: str
    was: Reach
    now: Reach
    headers: Mapping[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`lost`, `gained`, `doubled` (more queues than before) or `moved`."""
        if () in self.now and () not in self.was:
            return "lost"
        if () in self.was and () not in self.now:
            return "gained"
        more = all(set(was) < set(now) for was in self.was for now in self.now)
        return "doubled" if more else "moved"

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that a comparison and a plan have in JSON, in their order."""
        return {
            "exchange": self.exchange,
            "witness": self.witness,
            "kind": self.kind,
            "before": list(self.before),
            "after": list(self.after),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every difference, by exchange and by key; and the exchanges of which nothing is proved.

    The same of dead letters, by queue and by key.
    """

    differences: tuple[Difference, ...]
    undecided: tuple[str, ...] = ()
    dead_letters: tuple[DeadLetterDifference, ...] = ()
    undecided_dead_letters: tuple[str, ...] = ()

    @property
    def equivalent(self) -> bool:
        """Whether it is proved that every key goes where it went."""
        return not any(
            (self.differences, self.undecided, self.dead_letters, self.undecided_dead_letters)
        )


def compare(old: Topology, new: Topology) -> Comparison:
    """What publishing to any exchange does in one topology and not in the other."""
    routings = Routing(old), Routing(new)
    differences: dict[tuple[str, Reach, Reach], Difference] = {}
    undecided: list[str] = []
    for exchange in sorted({*_entries(old, new), *_entries(new, old)}):
        try:
            for found in _of_exchange(exchange, old, new, *routings):
                differences.setdefault((exchange, found.was, found.now), found)
        except (Undecided, Undecidable):
            undecided.append(exchange)
    for queue in sorted(old.queues.keys() ^ new.queues.keys()):  # by the default exchange
        it, nothing = ((queue,),), ((),)
        was, now = (it, nothing) if queue in old.queues else (nothing, it)
        differences["", was, now] = Difference("", queue, was, now)
    tasks = _tasks(old, new, *routings)
    return Comparison(
        tuple(replace(it, tasks=tasks.get(at, ())) for at, it in differences.items()),
        tuple(undecided),
        *compare_dead_letters(*routings),
    )


def _entries(topology: Topology, other: Topology) -> Iterator[str]:
    """The exchanges to compare: those on both sides, and those that only messages lead to."""
    ends = [binding.destination for binding in topology.bindings]
    led_to = {end.name for end in ends if isinstance(end, Exchange)}
    led_to |= {it.alternate_exchange or "" for it in topology.every_exchange()}
    led_to |= {it.dead_letter_exchange or "" for it in topology.queues.values()}
    sent_to = {task.exchange.name for task in topology.tasks.values()}
    bound = {it.source.name for it in topology.bindings} - topology.exchanges.keys()
    for name in {*topology.exchanges, *bound}:
        declared = topology.exchanges.get(name)
        inner = name in led_to or (declared is not None and declared.internal)
        if name and (other.exchange(name) is not None or name in sent_to or not inner):
            yield name


def _of_exchange(
    exchange: str, old: Topology, new: Topology, before: Routing, after: Routing
) -> Iterator[Difference]:
    bindings = [*old.bindings, *new.bindings]
    for headers in all_headers(it.arguments for it in bindings if it.source.routes_as == "headers"):
        for key, was, now in _classes(before, after, exchange, headers):
            if Outcome.UNDECIDED in (was.outcome, now.outcome):
                raise Undecidable(exchange)
            if was.reach != now.reach:
                yield Difference(exchange, key, was.reach, now.reach, headers)


def _classes(
    before: Routing,
    after: Routing,
    exchange: str,
    headers: Mapping[str, Any],
    keys: Keys = ANY_KEYS,
) -> Iterator[tuple[str, Delivery, Delivery]]:
    """For each class of keys that neither side tells apart: the smallest, and both deliveries."""
    was_at, is_at = _standing_in(exchange, before, after), _standing_in(exchange, after, before)
    for found in with_headers(headers, [(before, was_at), (after, is_at)], keys):
        was, now = found.deliveries
        yield found.witness, was, now


def _standing_in(exchange: str, routing: Routing, other: Routing) -> str:
    """The exchange to ask in place of one that only the other topology has.

    If that one stands in front of an exchange of this topology, as its alternate, it is this.
    """
    theirs = other.topology.exchange(exchange)
    if theirs is None or routing.topology.exchange(exchange) is not None:
        return exchange
    behind = theirs.alternate_exchange
    return behind if behind and routing.topology.exchange(behind) is not None else exchange


def _tasks(
    old: Topology, new: Topology, before: Routing, after: Routing
) -> dict[tuple[str, Reach, Reach], tuple[str, ...]]:
    """The tasks of either side, by how the routing of their key has changed."""
    concerned: dict[tuple[str, Reach, Reach], tuple[str, ...]] = {}
    for name, task in sorted({**old.tasks, **new.tasks}.items()):
        try:
            changes = {(was, now): None for was, now in _reaches(task, before, after) if was != now}
        except Undecided:
            continue  # the exchange is among those of which nothing is proved
        for change in changes:
            at = (task.exchange.name, *change)
            concerned[at] = (*concerned.get(at, ()), name)
    return concerned


def _reaches(task: Task, before: Routing, after: Routing) -> Iterator[tuple[Reach, Reach]]:
    """What each key of a task reaches, before and after."""
    exchange, key = task.exchange.name, task.routing_key
    headers = headers_of(task)
    if not placeholders(key):
        was = before.route(_standing_in(exchange, before, after), key, headers)
        yield was.reach, after.route(_standing_in(exchange, after, before), key, headers).reach
        return
    for keys in keys_of(task):
        for _, earlier, later in _classes(before, after, exchange, headers, keys):
            yield earlier.reach, later.reach


def as_json(comparison: Comparison) -> str:
    """The comparison for programs."""
    return json.dumps(
        {
            "equivalent": comparison.equivalent,
            "differences": [
                {
                    **it.fields,
                    **({"before_one_of": it.was} if len(it.was) > 1 else {}),
                    **({"after_one_of": it.now} if len(it.now) > 1 else {}),
                    **({"headers": printed(it.headers)} if it.headers else {}),
                    **({"tasks": list(it.tasks)} if it.tasks else {}),
                }
                for it in comparison.differences
            ],
            "undecided": list(comparison.undecided),
            "dead_letters": [
                {
                    "queue": it.queue,
                    "witness": it.witness,
                    "before": list(it.before),
                    "after": list(it.after),
                    **({"headers": printed(it.headers)} if it.headers else {}),
                }
                for it in comparison.dead_letters
            ],
            "undecided_dead_letters": list(comparison.undecided_dead_letters),
        },
        indent=2,
    )


def as_text(comparison: Comparison) -> str:
    """The comparison for people, a line for each class of keys."""
    if comparison.equivalent:
        return "equivalent (proved): every key goes where it went"
    lines = []
    for it in comparison.differences:
        where = f"exchange `{it.exchange}`" if it.exchange else "the default exchange"
        headers = f" with headers {printed(it.headers)}" if it.headers else ""
        lines.append(
            f"{it.kind}: `{it.witness}` on {where}{headers}: "
            f"{listed(it.was)} before, {listed(it.now)} after"
        )
        lines += [f"    concerns task {task}" for task in it.tasks]
    lines += [
        f"undecided: the keys of exchange `{exchange}` fall into too many classes, or meet an "
        "exchange of a plugin's type"
        for exchange in comparison.undecided
    ]
    for dead in comparison.dead_letters:
        headers = f" with headers {printed(dead.headers)}" if dead.headers else ""
        lines.append(
            f"dead letters of queue `{dead.queue}`: `{dead.witness}`{headers}: "
            f"{listed(dead.was)} before, {listed(dead.now)} after"
        )
    lines += [
        f"undecided: where the dead letters of queue `{queue}` go"
        for queue in comparison.undecided_dead_letters
    ]
    return "\n".join(lines)
