from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Severity, warning
from routewright.compiler.diagnostics.source import Span
from routewright.compiler.keys.kombu_topics import kombu_topic
from routewright.compiler.keys.patterns import topic, witness
from routewright.compiler.model.task_keys import all_listed
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.rabbitmq.targets import (
    NO_TRANSIENT_QUEUES,
    SINCE,
    VIRTUAL,
    VIRTUAL_TYPES,
    release,
)
from routewright.compiler.routing.routing import Routing


def unsupported_by_target(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    """The topology uses what its `target` cannot do.

    An older RabbitMQ refuses what came later (quorum queues with 3.8, streams with 3.9, a time to
    live on quorum queues and dead letters at least once with 3.10), and 4.3 refuses queues that
    are not durable, which is a warning for `rabbitmq-4.x`. On Redis and in memory kombu plays the
    broker: it has no headers exchanges, no bindings between exchanges, no alternate exchanges and
    no policies, and it ignores the arguments of queues and delays no message, so that workers hold
    those that are not due; both are warnings. So is a `#` that should match no word, which kombu's
    does not: this runtime sends to the queue that the compiler proved, and others miss it.
    """
    if topology.target in VIRTUAL:
        yield from _on_virtual_transport(topology, routing)
        return
    known = release(topology.target)
    if known is None:
        return
    for feature, span in _features(topology):
        since = SINCE[feature]
        if known < since:
            yield Diagnostic(
                "unsupported-by-target",
                f"`{feature}` came with RabbitMQ {since[0]}.{since[1]}, and the target is "
                f"`{topology.target}`",
                span,
                help="take it away, or set `target` to what the broker is",
            )
    if known >= NO_TRANSIENT_QUEUES:
        yield from _transient(topology)


def _transient(topology: Topology) -> Iterator[Diagnostic]:
    any_release = topology.target.endswith("x")  # 4.0 to 4.2 take such queues still
    refusing = "RabbitMQ since 4.3" if any_release else f"`{topology.target}`"
    for queue in topology.queues.values():
        if not queue.durable:
            yield Diagnostic(
                "unsupported-by-target",
                f"queue `{queue.name}` is not durable, which {refusing} refuses",
                queue.origin.span("durable"),
                help="take `durable: false` away",
                severity=Severity.WARNING if any_release else Severity.ERROR,
            )


def _features(topology: Topology) -> Iterator[tuple[str, Span | None]]:
    """What is used of the features that some release lacks, and where."""
    for queue in topology.queues.values():
        for argument, value in queue.arguments.items():
            span = queue.argument_span(argument)
            for feature in (
                argument,
                f"{argument}: {value}",
                f"{argument} on a {queue.type} queue",
            ):
                if feature in SINCE:
                    yield feature, span
    for policy in topology.policies.values():
        feature = f"apply_to: {policy.apply_to}"
        if feature in SINCE:
            yield feature, policy.origin.span("apply_to")
    for binding in topology.bindings:
        feature = f"x-match: {binding.arguments.get('x-match')}"
        if feature in SINCE:
            yield feature, binding.origin.span("arguments", "x-match")


def _on_virtual_transport(topology: Topology, routing: Routing) -> Iterator[Diagnostic]:
    target = topology.target
    for task in topology.tasks.values():
        if not all_listed(task) and len({it.queues for _, it in routing.deliveries_of(task)}) > 1:
            yield Diagnostic(
                "unsupported-by-target",
                f"the queue of task `{task.name}` depends on a placeholder that may be any word, "
                f"and `{target}` has nobody to decide it",
                task.key_span,
                help="list what it may be under `parameters`",
            )
    for exchange in topology.exchanges.values():
        if exchange.type not in VIRTUAL_TYPES:
            yield _lacking(target, f"{exchange.type} exchanges", exchange.origin.span("type"))
        if exchange.alternate_exchange is not None:
            span = exchange.alternate_span
            yield _lacking(target, "alternate exchanges", span)
    yield from _bindings(topology)
    for queue in topology.queues.values():
        yield from _ignored(target, queue)
    if topology.delays is not None:
        yield warning(
            "unsupported-by-target",
            f"`{target}` delays no message: workers hold a task until it is due",
            topology.delays.origin.key_span(),
            help="use a RabbitMQ, if many tasks wait or any of them long",
        )
    for policy in topology.policies.values():
        yield _lacking(target, "policies", policy.origin.key_span())


def _bindings(topology: Topology) -> Iterator[Diagnostic]:
    beside: defaultdict[object, list[Binding]] = defaultdict(list)
    for binding in topology.bindings:
        end = binding.destination
        if isinstance(end, Exchange):
            span = binding.origin.span("exchange")
            yield _lacking(topology.target, "bindings between exchanges", span)
        if binding.source.routes_as == "topic":
            beside[binding.source.name, type(end), end.name].append(binding)
    for bindings in beside.values():
        for binding in bindings:
            yield from _narrower(topology.target, binding, bindings)


def _narrower(target: str, binding: Binding, beside: list[Binding]) -> Iterator[Diagnostic]:
    """A binding key that matches fewer keys there, and the rest comes by no binding beside it."""
    key = witness([topic(binding.key)], [kombu_topic(it.key) for it in beside])
    if key is not None:
        yield warning(
            "unsupported-by-target",
            f"`{binding.key}` does not match `{key}` on `{target}`, "
            "whose `#` takes a word at least",
            binding.origin.span("binding_key"),
            help=f"bind `{binding.destination.name}` to `{key}` too, if others than this runtime "
            "publish it",
            witness=key,
        )


def _ignored(target: str, queue: Queue) -> Iterator[Diagnostic]:
    for argument in queue.arguments:
        yield warning(
            "unsupported-by-target",
            f"`{argument}` of queue `{queue.name}` has no effect on `{target}`",
            queue.argument_span(argument),
            help="take it away, or use a RabbitMQ",
        )


def _lacking(target: str, what: str, span: Span | None) -> Diagnostic:
    return Diagnostic(
        "unsupported-by-target",
        f"`{target}` has no {what}",
        span,
        help="use a RabbitMQ, or bind the queues to a direct, topic or fanout exchange",
    )
