"""`declarations.py`: the topology as kombu objects, and the function that declares them."""

from __future__ import annotations

from collections import defaultdict

from routewright.compiler.emit.literal import Call, Subscript, literal
from routewright.compiler.emit.render import render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.topology import PREDECLARED, Binding, Exchange, Queue, Topology


def declarations(topology: Topology, stamp: Stamp) -> str:
    """The module of the exchanges, the queues and `declare(connection)`."""
    of_queue: dict[str, list[Call]] = defaultdict(list)
    of_exchange: list[tuple[object, Call]] = []
    for binding in sorted(topology.bindings, key=_order):
        if not binding.source.name:
            continue  # the default exchange binds every queue by itself, and refuses to be asked
        if isinstance(binding.destination, Queue):
            of_queue[binding.destination.name].append(_binding(binding))
        else:
            of_exchange.append((_reference(binding.destination), _binding(binding)))
    declared = {name: it for name, it in topology.exchanges.items() if name not in PREDECLARED}
    return render(
        "declarations.py",
        stamp=stamp,
        internal=any(exchange.internal for exchange in declared.values()),
        exchanges={name: _exchange(exchange) for name, exchange in declared.items()},
        queues={name: _queue(queue, of_queue[name]) for name, queue in topology.queues.items()},
        exchange_bindings=of_exchange,
    )


def _exchange(exchange: Exchange) -> Call:
    keywords = {
        "type": exchange.type,
        **_unless("durable", exchange.durable, default=True),
        **_unless("auto_delete", exchange.auto_delete, default=False),
        **_unless("arguments", exchange.arguments, default={}),
    }
    function = "InternalExchange" if exchange.internal else "Exchange"
    return Call(function, [exchange.name], keywords, tall=True)


def _queue(queue: Queue, bindings: list[Call]) -> Call:
    keywords = {
        **_unless("durable", queue.durable, default=True),
        **_unless("auto_delete", queue.auto_delete, default=False),
        **_unless("queue_arguments", queue.arguments, default={}),
        **_unless("bindings", bindings, default=[]),
    }
    return Call("Queue", [queue.name], keywords, tall=True)


def _binding(binding: Binding) -> Call:
    keywords = {
        **_unless("routing_key", binding.key, default=""),
        **_unless("arguments", binding.arguments, default={}),
    }
    return Call("binding", [_reference(binding.source)], keywords)


def _reference(exchange: Exchange) -> Subscript | Call:
    """An exchange within a binding; what RabbitMQ declares itself is never declared again."""
    if exchange.name in PREDECLARED:
        return Call("Exchange", [exchange.name], {"type": exchange.type, "no_declare": True})
    return Subscript("exchanges", [exchange.name])


def _unless(name: str, value: object, *, default: object) -> dict[str, object]:
    return {} if value == default else {name: value}


def _order(binding: Binding) -> tuple[str, ...]:
    arguments = literal(binding.arguments) if binding.arguments else "{}"
    return (binding.source.name, binding.destination.name, binding.key, arguments)
