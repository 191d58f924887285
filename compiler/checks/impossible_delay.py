from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.keys.header_sets import Undecidable
from routewright.compiler.keys.patterns import MAX_KEY_BYTES, Undecided, words
from routewright.compiler.lowering.delay_ladder import ladder
from routewright.compiler.lowering.delay_landing import Landing, land
from routewright.compiler.lowering.delay_proof import Astray, astray
from routewright.compiler.lowering.lower import Lowered
from routewright.compiler.model.task_keys import placeholders
from routewright.compiler.model.topology import Binding, Delays, Task, Topology
from routewright.compiler.rabbitmq.targets import VIRTUAL
from routewright.runtime.router.delay_ladder import source_word


def impossible_delay(lowered: Lowered) -> Iterator[Diagnostic]:
    """The `delays` cannot bring every task just where it would go without a delay.

    A delayed message has a longer key: the digits of its delay come first, a word for each queue
    that it may be held in. A key may have 255 bytes in all. When the delay ends, the message goes
    by topic bindings, which cannot repeat a direct exchange's binding key with a word `*` or `#`,
    nor what an exchange of a plugin's type decides. Whatever is declared is proved for all keys.
    """
    topology = lowered.topology
    delays = topology.delays
    if delays is None or topology.target in VIRTUAL:
        return
    built = ladder(topology.name, delays, topology.target)
    landing = land(topology, delays.bits, built.last_stop, built.lost)
    found = [*_long(topology, delays, landing), *map(_unrepeatable, landing.impossible)]
    yield from found
    if found:
        return
    try:
        for one in astray(topology, lowered.on_broker, delays):
            yield _elsewhere(one, delays)
    except (Undecided, Undecidable) as error:
        yield _impossible(delays, f"where delayed tasks go cannot be proved: {error}")


def _long(topology: Topology, delays: Delays, landing: Landing) -> Iterator[Diagnostic]:
    """What would not fit into a short string of AMQP."""
    for exchange in landing.exchanges:
        if len(exchange.name.encode()) > MAX_KEY_BYTES:
            yield _impossible(delays, f"the name `{exchange.name[:60]}...` would be too long")
    for binding in landing.bindings:
        size = len(binding.key.encode())
        if size > MAX_KEY_BYTES:
            yield _too_long(f"`{binding.destination.name[:60]}` would be bound with", size, binding)
    for task in topology.tasks.values():
        size = 2 * delays.bits + len(source_word(task.exchange.name).encode()) + 1 + _bytes(task)
        if size > MAX_KEY_BYTES:
            yield _too_long(f"task `{task.name}` would be sent with", size, task)


def _bytes(task: Task) -> int:
    """How long the routing key of a task may be, where nobody knows a placeholder the least."""
    known = {
        f"{{{name}}}": max(
            (len(value.encode()) for value in task.parameters.get(name, ())), default=1
        )
        for name in placeholders(task.routing_key)
    }
    sizes = [known.get(word, len(word.encode())) for word in words(task.routing_key)]
    return sum(sizes) + len(sizes) - 1


def _too_long(what: str, size: int, of: Binding | Task) -> Diagnostic:
    span = of.key_span if isinstance(of, Task) else of.origin.span("binding_key")
    return Diagnostic(
        "impossible-delay",
        f"{what} a key of {size} bytes after a delay, and the most is {MAX_KEY_BYTES}",
        span,
        help="shorten the key, or make the resolution of `delays` coarser",
    )


def _unrepeatable(binding: Binding) -> Diagnostic:
    kind, name = binding.source.type, binding.destination.name
    literal = kind == "direct"
    return Diagnostic(
        "impossible-delay",
        f"a delayed message cannot be led to `{name}` as by `{binding.key}` of a {kind} exchange",
        binding.origin.span("binding_key") if literal else binding.origin.span("exchange"),
        help="use a key without the words `*` and `#`"
        if literal
        else "send tasks to a direct, topic, fanout or headers exchange, or do without `delays`",
        witness=binding.key if literal else None,
    )


def _elsewhere(found: Astray, delays: Delays) -> Diagnostic:
    was, now = (
        ", ".join(f"`{queue}`" for queue in it.queues) or "no queue"
        for it in (found.undelayed, found.delayed)
    )
    return Diagnostic(
        "impossible-delay",
        f"`{found.key}` on exchange `{found.exchange}` reaches {was}, and after a delay {now}",
        delays.origin.key_span(),
        help="send tasks to an exchange that decides by their keys alone",
        witness=found.key,
    )


def _impossible(delays: Delays, why: str) -> Diagnostic:
    return Diagnostic(
        "impossible-delay",
        why,
        delays.origin.key_span(),
        help="use shorter names and fewer bindings, or do without `delays`",
    )
