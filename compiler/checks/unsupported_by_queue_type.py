from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.model.topology import Queue, Topology
from routewright.compiler.rabbitmq.queue_arguments import (
    CLASSIC,
    QUEUE_ARGUMENTS,
    QUEUE_TYPES,
    QUORUM,
)
from routewright.compiler.routing.routing import Routing


def unsupported_by_queue_type(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """A queue has an option that queues of its type do not take.

    RabbitMQ refuses the declaration with 406. Quorum queues and streams are always durable, never
    deleted by themselves, and know neither priorities nor lazy mode; streams know no time to live
    of a message, no dead letters and no single active consumer; classic queues have no delivery
    limit. An `overflow` of `reject-publish-dlx` on a quorum queue is taken and not heeded: the
    broker says so in its log alone.
    """
    for queue in topology.queues.values():
        yield from _flags(queue)
        if queue.type == QUORUM and queue.arguments.get("x-overflow") == "reject-publish-dlx":
            yield Diagnostic(
                "unsupported-by-queue-type",
                "a quorum queue does not know `reject-publish-dlx`, and would drop its oldest "
                "messages",
                queue.argument_span("x-overflow"),
                help="write `reject-publish`",
            )
        for argument in queue.arguments:
            rule = QUEUE_ARGUMENTS.get(argument)
            if rule and queue.type in QUEUE_TYPES and queue.type not in rule.queue_types:
                yield Diagnostic(
                    "unsupported-by-queue-type",
                    f"a {queue.type} queue does not take `{argument}`",
                    queue.argument_span(argument),
                    help=f"only {_listed(rule.queue_types)} do; take it away, "
                    "or change the `type` of the queue",
                )


def _flags(queue: Queue) -> Iterator[Diagnostic]:
    if queue.type not in QUEUE_TYPES or queue.type == CLASSIC:
        return
    if not queue.durable:
        yield Diagnostic(
            "unsupported-by-queue-type",
            f"a {queue.type} queue is always durable",
            queue.origin.span("durable"),
            help="take `durable: false` away, or make the queue classic",
        )
    if queue.auto_delete:
        yield Diagnostic(
            "unsupported-by-queue-type",
            f"a {queue.type} queue is never deleted by itself",
            queue.origin.span("auto_delete"),
            help="take `auto_delete: true` away, or make the queue classic",
        )


def _listed(types: tuple[str, ...]) -> str:
    return " and ".join(f"{it} queues" if it != "stream" else "streams" for it in types)
