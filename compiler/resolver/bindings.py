"""The bindings of a topology file: short form and long form become one kind of thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routewright.compiler.diagnostics.diagnostic import Note
from routewright.compiler.diagnostics.source import Path
from routewright.compiler.language.spec import BindingSpec, QueueSpec, TopologySpec
from routewright.compiler.model.topology import KEYED_TYPES, Binding, Exchange, Queue
from routewright.compiler.resolver.names import Names


def resolve_bindings(spec: TopologySpec, names: Names) -> tuple[Binding, ...]:
    """Every binding in the order of the file, each of them once."""
    return tuple(_distinct(_bindings(spec, names), names))


def _bindings(spec: TopologySpec, names: Names) -> Iterator[Binding]:
    for name, exchange in spec.exchanges.items():
        path: Path = ("exchanges", name, "bindings")
        for index, binding in enumerate(exchange.bindings):
            yield from _binding(binding, names.declared.exchanges[name], (*path, index), names)
    for name, queue in spec.queues.items():
        path = ("queues", name)
        destination = names.declared.queues[name]
        yield from _short_form(queue, destination, path, names)
        for index, binding in enumerate(queue.bindings):
            yield from _binding(binding, destination, (*path, "bindings", index), names)


def _short_form(spec: QueueSpec, queue: Queue, path: Path, names: Names) -> Iterator[Binding]:
    """`{exchange: tasks, binding_key: "video.#"}`, written on the queue itself."""
    if spec.carve_out_of is not None or (spec.exchange is None and spec.binding_key is None):
        return
    if spec.bindings:
        names.findings.report(
            "two-binding-forms",
            f"queue `{queue.name}` has `bindings` and a binding of its own",
            names.source.key_span((*path, "bindings")),
            "move `exchange` and `binding_key` into the list of `bindings`",
        )
    elif spec.exchange is None:
        names.findings.report(
            "binding-without-exchange",
            f"queue `{queue.name}` has a binding key and no exchange to bind it to",
            names.source.key_span((*path, "binding_key")),
            "add `exchange: ...`",
        )
    else:
        binding = BindingSpec.model_construct(
            exchange=spec.exchange, binding_key=spec.binding_key
        )  # validated as a part of the queue
        yield from _binding(binding, queue, path, names)


def _binding(
    spec: BindingSpec, destination: Exchange | Queue, path: Path, names: Names
) -> Iterator[Binding]:
    where = (*path, "exchange")
    source = names.exchange(
        spec.exchange, where, f"the exchange that `{destination.name}` is bound to"
    )
    if source is None:
        return
    if not source.name:
        names.findings.report(
            "default-exchange-binding",
            "the default exchange cannot be bound to",
            names.source.span(where),
            "it reaches every queue by the queue's name; or declare an exchange",
        )
    elif spec.binding_key is None and source.routes_as in KEYED_TYPES:
        every = (
            '`"#"` matches every key' if source.routes_as == "topic" else '`""` is the empty key'
        )
        names.findings.report(
            "missing-binding-key",
            f"`{destination.name}` is bound to the {source.type} exchange `{source.name}` "
            "without a binding key",
            names.source.span(where),
            f"add `binding_key: ...`; {every}",
        )
    else:
        origin = names.origin(path)
        yield Binding(source, destination, spec.binding_key or "", spec.arguments, origin)


def _distinct(bindings: Iterable[Binding], names: Names) -> Iterator[Binding]:
    """Bindings without those that repeat another, which are reported."""
    seen: dict[tuple[object, ...], Binding] = {}
    for binding in bindings:
        first = seen.setdefault(binding.identity, binding)
        if first is binding:
            yield binding
            continue
        key = f"`{binding.key}`" if binding.key else "the same arguments"
        names.findings.report(
            "duplicate-binding",
            f"`{binding.destination.name}` is bound to `{binding.source.name}` with {key} twice",
            binding.origin.span("binding_key"),
            "take one away",
            (Note("the same binding stands here", first.origin.span("binding_key")),),
        )
