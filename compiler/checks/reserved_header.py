from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def reserved_header(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A task has a header under a name that Celery's protocol has for one of its own.

    Sending the task would raise an error.
    """
    with_headers = [task for task in topology.tasks.values() if task.headers]
    if not with_headers:
        return
    from routewright.runtime.messages.message import PROTOCOL_HEADERS  # noqa: PLC0415  it imports kombu

    for task in with_headers:
        for name in sorted(PROTOCOL_HEADERS.intersection(task.headers)):
            yield Diagnostic(
                "reserved-header",
                f"the header `{name}` of task `{task.name}` is the protocol's own",
                task.span_of("headers"),
                help="give it another name",
            )
