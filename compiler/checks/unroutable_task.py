from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from routewright.compiler.analysis.paths import dead_ends
from routewright.compiler.diagnostics.diagnostic import MOST_SUGGESTIONS, Diagnostic, did_you_mean
from routewright.compiler.keys.patterns import matches, topic, words
from routewright.compiler.model.topology import Task, Topology
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.routing import Routing

_MOST_COMPARED = 200
_MOST_NOTES = 5


def unroutable_task(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task is sent with a routing key that reaches no queue, or may reach none.

    The broker returns such a message to a publisher that asked for it to be mandatory, and drops it
    without a word otherwise. Where an exchange chooses one of several destinations, each of them
    must lead to a queue: the message is not offered to another one, nor to the alternate exchange.
    """
    lost = [
        (task, key, delivery)
        for task in topology.tasks.values()
        for key, delivery in routing.deliveries_of(task)
        if delivery.outcome is Outcome.UNROUTABLE
    ]
    bound: defaultdict[str, list[str]] = defaultdict(list)
    for binding in topology.bindings if lost else ():
        bound[binding.source.name].append(binding.key)
    for number, (task, key, delivery) in enumerate(lost):
        near = _nearest(topology, task, key, bound) if number < MOST_SUGGESTIONS else None
        yield Diagnostic(
            "unroutable-task",
            _lost(task, key, routing),
            task.key_span,
            help=near or f"bind a queue to `{task.exchange.name}` with this key, or change the key"
            if task.exchange.name
            else near or "write the name of a queue",
            notes=tuple(islice(dead_ends(task.exchange.name, delivery), _MOST_NOTES)),
            witness=key,
        )


def _lost(task: Task, key: str, routing: Routing) -> str:
    if not task.exchange.name:
        return f"the default exchange leads `{key}` to no queue of that name"
    if any(way == key and it.queues for way, it in routing.deliveries_of(task)):
        return (
            f"one of the destinations that `{key}` on exchange `{task.exchange.name}` may be "
            "passed to leads it to no queue"
        )
    return f"no binding of exchange `{task.exchange.name}` leads `{key}` to a queue"


def _nearest(topology: Topology, task: Task, key: str, bound: dict[str, list[str]]) -> str | None:
    if not task.exchange.name:
        return did_you_mean(key, topology.queues)
    patterns = islice(bound.get(task.exchange.name, ()), _MOST_COMPARED)
    near = next(_near_keys(key, patterns), None)
    return f"did you mean `{near}`?" if near else None


def _near_keys(key: str, patterns: Iterator[str]) -> Iterator[str]:
    """Keys that are bound, and differ from this one by a misspelt word."""
    for pattern in patterns:
        for place, (word, literal) in enumerate(zip(words(key), words(pattern), strict=False)):
            near = ".".join([*words(key)[:place], literal, *words(key)[place + 1 :]])
            if (
                near != key
                and matches(topic(pattern), near)
                and get_close_matches(word, [literal], 1, 0.7)
            ):
                yield near
