"""`declarations.py`: the topology as kombu objects, and the function that declares them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from routewright.compiler.emit.literal import Call, Subscript, literal
from routewright.compiler.emit.render import render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.model.topology import PREDECLARED, Binding, Exchange, Queue, Topology

# The names of the generated dictionaries of exchanges.
EXCHANGES, DELAY_EXCHANGES = "exchanges", "delay_exchanges"


def declarations(topology: Topology, on_broker: Topology, stamp: Stamp) -> str:
    """The module of the exchanges, the queues and `declare(connection)`.

    The exchanges and queues that `delays` adds are in dictionaries of their own. The compiler
    chooses their names, which are not among the types of `names.py`.

    Args:
        topology: the topology as the file describes it.
        on_broker: the same with the exchanges and queues that its `delays` need.
        stamp: the source of the file.
    """
    dictionary_of = {
        name: EXCHANGES if name in topology.exchanges else DELAY_EXCHANGES
        for name in on_broker.exchanges
    }
    of_queue: dict[str, list[Call]] = defaultdict(list)
    of_exchange: list[tuple[object, Call]] = []
    for binding in sorted(on_broker.bindings, key=_order):
        if not binding.source.name:
            continue  # the default exchange binds every queue by itself, and refuses to be asked
        if isinstance(binding.destination, Queue):
            of_queue[binding.destination.name].append(_binding(binding, dictionary_of))
        else:
            destination = _reference(binding.destination, dictionary_of)
            of_exchange.append((destination, _binding(binding, dictionary_of)))
    declared = {name: it for name, it in on_broker.exchanges.items() if name not in PREDECLARED}
    exchanges: dict[str, dict[str, Call]] = {EXCHANGES: {}, DELAY_EXCHANGES: {}}
    for name, exchange in declared.items():
        exchanges[dictionary_of[name]][name] = _exchange(exchange)
    queues = {name: _queue(it, of_queue[name]) for name, it in on_broker.queues.items()}
    return render(
        "declarations.py",
        stamp=stamp,
        internal=any(exchange.internal for exchange in declared.values()),
        exchanges=exchanges[EXCHANGES],
        delay_exchanges=exchanges[DELAY_EXCHANGES],
        queues={name: it for name, it in queues.items() if name in topology.queues},
        delay_queues={name: it for name, it in queues.items() if name not in topology.queues},
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


def _binding(binding: Binding, dictionary_of: Mapping[str, str]) -> Call:
    keywords = {
        **_unless("routing_key", binding.key, default=""),
        **_unless("arguments", binding.arguments, default={}),
    }
    return Call("binding", [_reference(binding.source, dictionary_of)], keywords)


def _reference(exchange: Exchange, dictionary_of: Mapping[str, str]) -> Subscript | Call:
    """An exchange within a binding; what RabbitMQ declares itself is never declared again."""
    if exchange.name in PREDECLARED:
        return Call("Exchange", [exchange.name], {"type": exchange.type, "no_declare": True})
    return Subscript(dictionary_of[exchange.name], [exchange.name])


def _unless(name: str, value: object, *, default: object) -> dict[str, object]:
    return {} if value == default else {name: value}


def _order(binding: Binding) -> tuple[str, ...]:
    arguments = literal(binding.arguments) if binding.arguments else "{}"
    return (binding.source.name, binding.destination.name, binding.key, arguments)
