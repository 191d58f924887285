from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from routewright.compiler.diagnostics import Diagnostic, did_you_mean
from routewright.compiler.patterns import matches, words
from routewright.compiler.routing import Outcome, Routing
from routewright.compiler.topology import Task, Topology

_MOST_COMPARED = 500


def unroutable_task(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """A task is sent with a routing key that reaches no queue.

    The broker returns such a message to a publisher that asked for it to be mandatory, and drops it
    without a word otherwise.
    """
    for task in topology.tasks.values():
        if routing.of_task(task).outcome is Outcome.UNROUTABLE:
            yield Diagnostic(
                "unroutable-task",
                f"no binding of exchange `{task.exchange.name}` leads `{task.routing_key}` to a "
                "queue"
                if task.exchange.name
                else f"the default exchange leads `{task.routing_key}` to no queue of that name",
                task.key_span,
                help=_way_out(topology, task),
                witness=task.routing_key,
            )


def _way_out(topology: Topology, task: Task) -> str:
    key, name = task.routing_key, task.exchange.name
    if not name:
        return did_you_mean(key, topology.queues) or "write the name of a queue"
    patterns = [it.key for it in topology.bindings if it.source.name == name]
    if not patterns:
        return f"bind a queue to `{name}`"
    near = next(_near_keys(key, patterns[:_MOST_COMPARED]), None)
    if near:
        return f"did you mean `{near}`?"
    return f"bind a queue with `binding_key: {key}`, or change the task's key"


def _near_keys(key: str, patterns: list[str]) -> Iterator[str]:
    """Keys that are bound, and differ from this one by a misspelt word."""
    for pattern in patterns:
        for place, (word, literal) in enumerate(zip(words(key), words(pattern), strict=False)):
            if get_close_matches(word, [literal], 1, 0.7):
                near = ".".join([*words(key)[:place], literal, *words(key)[place + 1 :]])
                if matches(pattern, near):
                    yield near
