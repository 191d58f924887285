"""Turns a specification into a topology: names become the things that they name."""

from __future__ import annotations

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Origin, Source
from routewright.compiler.language.spec import DelaysSpec, TopologySpec, WorkerGroupSpec
from routewright.compiler.model.topology import Delays, Queue, Topology, WorkerGroup
from routewright.compiler.resolver.assertions import resolve_assertions
from routewright.compiler.resolver.bindings import resolve_bindings
from routewright.compiler.resolver.broker_objects import broker_objects, look_up_references
from routewright.compiler.resolver.carve_outs import resolve_carve_outs
from routewright.compiler.resolver.findings import Findings
from routewright.compiler.resolver.names import Names
from routewright.compiler.resolver.tasks import resolve_tasks
from routewright.runtime.router.route import HARMLESS


def resolve(spec: TopologySpec, source: Source) -> tuple[Topology | None, list[Diagnostic]]:
    """Returns the topology that is meant, or everything that is wrong with the names in it."""
    findings = Findings(source)
    declared = broker_objects(spec, findings)
    names = Names(declared, findings)
    look_up_references(names)
    bindings = resolve_bindings(spec, names)
    topology = Topology(
        name=spec.topology,
        target=spec.target,
        vhost=spec.vhost,
        exchanges=declared.exchanges,
        queues=declared.queues,
        bindings=bindings,
        carve_outs=resolve_carve_outs(spec, bindings, names),
        tasks=resolve_tasks(spec, names),
        groups={name: _group(name, written, names) for name, written in spec.workers.items()},
        assertions=resolve_assertions(spec, names),
        policies=declared.policies,
        predeclared=declared.predeclared,
        delays=_delays(spec.delays, source) if spec.delays else None,
        parking=_parking(spec.parking, names) if spec.parking else None,
        events=spec.events,
    )
    return (None, findings.diagnostics) if findings.diagnostics else (topology, [])


def _delays(spec: DelaysSpec, source: Source) -> Delays:
    return Delays(spec.resolution, spec.max, Origin(source, ("delays",)))


def _parking(name: str, names: Names) -> Queue | None:
    return names.queue(name, ("parking",), "the queue for parking")


def _group(name: str, spec: WorkerGroupSpec, names: Names) -> WorkerGroup:
    path = ("workers", name)
    queues: dict[str, Queue] = {}
    for index, queue_name in enumerate(spec.queues):
        where = (*path, "queues", index)
        queue = names.queue(queue_name, where, f"a queue of worker group `{name}`")
        if queue_name in queues:
            names.findings.report(
                "repeated-queue",
                f"worker group `{name}` lists `{queue_name}` twice",
                names.source.span(where),
                "take one away",
            )
        if queue:
            queues[queue_name] = queue
    return WorkerGroup(
        name,
        tuple(queues.values()),
        spec.concurrency,
        spec.prefetch or spec.concurrency,
        HARMLESS if spec.accept is None else spec.accept,
        spec.processes,
        names.origin(path),
    )
