"""AMQP's declarations as calls on a kombu channel, and what a refusal of one means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

from amqp import spec

from routewright.compiler.broker.errors import (
    BrokerError,
    ConnectionLost,
    DeclarationRefused,
    PermissionRefused,
)
from routewright.compiler.model.topology import Argument, Binding, Exchange, Queue
from routewright.compiler.plan.changes import Bind, Declaration, DeclareExchange, DeclareQueue
from routewright.compiler.plan.progress import Applied

ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
_CONNECTION_FORCED = 320


def declare(channel: Any, change: Declaration, *, nowait: bool = False) -> None:
    """Creates an exchange, a queue or a binding."""
    match change:
        case DeclareExchange(exchange):
            declare_exchange(channel, exchange, nowait=nowait)
        case DeclareQueue(queue):
            declare_queue(channel, queue, nowait=nowait)
        case Bind(binding):
            bind(channel, binding, nowait=nowait)
        case _:
            assert_never(change)


def declare_exchange(channel: Any, exchange: Exchange, *, nowait: bool = False) -> None:
    """Create an exchange, or have the broker compare it with the one that is there.

    With `nowait`, AMQP's own word, the broker answers only if something is wrong.
    """
    arguments = table(exchange.arguments)
    if not hasattr(channel, "send_method"):  # kombu plays the broker itself
        channel.exchange_declare(
            exchange.name, exchange.type, exchange.durable, exchange.auto_delete, arguments
        )
        return
    # py-amqp's exchange_declare has no `internal`, which AMQP 0-9-1 reserves and RabbitMQ uses.
    flags = (False, exchange.durable, exchange.auto_delete, exchange.internal, nowait)
    channel.send_method(
        spec.Exchange.Declare,
        "BssbbbbbF",
        (0, exchange.name, exchange.type, *flags, arguments),
        wait=None if nowait else spec.Exchange.DeclareOk,
    )


def declare_queue(channel: Any, queue: Queue, *, nowait: bool = False) -> None:
    """Create a queue, or have the broker compare it with the one that is there."""
    channel.queue_declare(
        queue.name,
        durable=queue.durable,
        auto_delete=queue.auto_delete,
        arguments=table(queue.arguments),
        nowait=nowait,
    )


def bind(channel: Any, binding: Binding, *, nowait: bool = False) -> None:
    """Make a binding, or make it again."""
    call = channel.queue_bind if isinstance(binding.destination, Queue) else channel.exchange_bind
    call(
        binding.destination.name,
        binding.source.name,
        routing_key=binding.key,
        arguments=table(binding.arguments),
        **({"nowait": True} if nowait else {}),
    )


def unbind(channel: Any, binding: Binding) -> None:
    """Remove a binding, if it is there."""
    queue = isinstance(binding.destination, Queue)
    call = channel.queue_unbind if queue else channel.exchange_unbind
    call(
        binding.destination.name,
        binding.source.name,
        routing_key=binding.key,
        arguments=table(binding.arguments),
    )


def table(arguments: Mapping[str, Argument]) -> dict[str, Any]:
    """Arguments as py-amqp can encode them: of dicts and lists, whatever they were made of."""
    return {name: _plain(value) for name, value in arguments.items()}


def refusal(error: Exception, subject: object, applied: Applied | None = None) -> BrokerError:
    """What an exception of a channel means for the declaration that met it.

    Args:
        error: any of the transport's connection or channel errors.
        subject: what was being declared or looked at, such as "queue `video`".
        applied: what had been done by then.
    """
    code = getattr(error, "reply_code", None)
    text = str(getattr(error, "reply_text", None) or error or type(error).__name__)
    if isinstance(error, TimeoutError):
        text = "the broker does not answer any more"
    reason = text.partition(" - ")[2] or text
    if code == ACCESS_REFUSED:
        return PermissionRefused(f"no permission for {subject}: {reason}", applied)
    if code and code != _CONNECTION_FORCED:
        return DeclarationRefused(f"the broker refuses {subject}: {code} {text}", applied)
    return ConnectionLost(
        f"the connection was lost at {subject}, and running again does the rest: {reason}", applied
    )


def _plain(value: Argument) -> Any:
    if isinstance(value, Mapping):
        return table(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
