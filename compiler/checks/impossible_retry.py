from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.model.topology import Delays, Task, Topology
from routewright.compiler.rabbitmq.targets import VIRTUAL
from routewright.compiler.routing.routing import Routing


def impossible_retry(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A task is to be tried again after a pause that the broker cannot make.

    Between two tries a task waits in the queues that `delays` declares, no longer than their
    longest delay. On Redis and in memory a worker holds it for as long as it takes.
    """
    if topology.target in VIRTUAL:
        return
    for task in topology.tasks.values():
        if task.retry is None or not task.retry.max:
            continue
        longest = task.retry.pause_at_most
        if topology.delays is None:
            yield _without_delays(task, longest)
        elif longest * 1000 > topology.delays.max:
            yield _too_long(task, longest, topology.delays)


def _without_delays(task: Task, longest: float) -> Diagnostic:
    return Diagnostic(
        "impossible-retry",
        f"task `{task.name}` is tried again after up to {longest:g} s, and the topology has no "
        "`delays`",
        task.span_of("retry"),
        help="declare `delays: {resolution: 100ms, max: 1h}`",
    )


def _too_long(task: Task, longest: float, delays: Delays) -> Diagnostic:
    return Diagnostic(
        "impossible-retry",
        f"task `{task.name}` is tried again after up to {longest:g} s, and the longest delay is "
        f"{delays.max / 1000:g} s",
        task.span_of("retry"),
        help="make `max` of `delays` longer, or `max_backoff` shorter",
        notes=(Note("the longest delay is declared here", delays.origin.span("max")),),
    )
