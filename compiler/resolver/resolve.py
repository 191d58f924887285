"""A specification becomes a topology: names turn into the things they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note, did_you_mean
from routewright.compiler.diagnostics.source import Origin, Path, Source
from routewright.compiler.keys.patterns import Undecided, has_wildcard, words
from routewright.compiler.language.spec import (
    RetrySpec,
    SendingSpec,
    TaskSpec,
    TopologySpec,
    WorkerGroupSpec,
)
from routewright.compiler.model.task_keys import TASK, misplaced, placeholders, with_task
from routewright.compiler.model.task_names import Ambiguity, TaskNames
from routewright.compiler.model.topology import (
    KEYED_TYPES,
    Delays,
    Exchange,
    Queue,
    Task,
    Topology,
    WorkerGroup,
)
from routewright.compiler.resolver.assertions import resolve_assertions
from routewright.compiler.resolver.bindings import resolve_bindings
from routewright.compiler.resolver.broker_objects import broker_objects
from routewright.compiler.resolver.carve_outs import resolve_carve_outs
from routewright.compiler.resolver.names import Names
from routewright.runtime.router.retry_policy import RetryPolicy
from routewright.runtime.router.route import HARMLESS


def resolve(spec: TopologySpec, source: Source) -> tuple[Topology | None, list[Diagnostic]]:
    """The topology that was meant, or every name in it that means nothing."""
    found: list[Diagnostic] = []
    names = broker_objects(spec, source, found)
    bindings = resolve_bindings(spec, names)
    carve_outs = resolve_carve_outs(spec, bindings, names)
    tasks = _tasks(spec, names)
    groups = [_group(name, it, names) for name, it in spec.workers.items()]
    assertions = resolve_assertions(spec, names)
    parking = spec.parking and names.queue(spec.parking, ("parking",), "the queue for parking")
    if found:
        return None, found
    return (
        Topology(
            spec.topology,
            spec.target,
            spec.vhost,
            names.exchanges,
            names.queues,
            bindings,
            tasks,
            {group.name: group for group in groups},
            assertions,
            carve_outs,
            names.policies,
            names.predeclared,
            _delays(spec, source),
            parking or None,
            spec.events,
        ),
        [],
    )


def _delays(spec: TopologySpec, source: Source) -> Delays | None:
    if spec.delays is None:
        return None
    return Delays(spec.delays.resolution, spec.delays.max, Origin(source, ("delays",)))


def _tasks(spec: TopologySpec, names: Names) -> dict[str, Task]:
    """The tasks that can be resolved; those whose names are patterns know what is not theirs."""
    found = [_task(name, it, spec.defaults, names) for name, it in spec.tasks.items()]
    tasks = {task.name: task for task in found if task}
    if not any(task.is_pattern for task in tasks.values()):
        return tasks
    try:
        sorted_out = TaskNames(tasks)
    except Undecided as error:
        names.report(
            "ambiguous-task-name",
            f"which pattern a task's name belongs to is undecided: {error}",
            names.source.key_span(("tasks",)),
            "use fewer patterns, or begin them with words rather than wildcards",
        )
        return tasks
    for ambiguity in sorted_out.ambiguities():
        _report_ambiguity(ambiguity, tasks, names)
    return {
        name: replace(task, narrower=sorted_out.narrower(name)) if task.is_pattern else task
        for name, task in tasks.items()
    }


def _report_ambiguity(ambiguity: Ambiguity, tasks: Mapping[str, Task], names: Names) -> None:
    first, second = sorted(ambiguity.patterns, key=list(tasks).index)
    names.report(
        "ambiguous-task-name",
        f"the name `{ambiguity.name}` matches `{first}` and `{second}`, of which neither is more "
        "specific",
        tasks[second].origin.key_span(),
        f"declare `{ambiguity.name}` too, or narrow one of the patterns",
        (Note(f"`{first}` stands here", tasks[first].origin.key_span()),),
        witness=ambiguity.name,
    )


def _task(name: str, spec: TaskSpec, defaults: SendingSpec, names: Names) -> Task | None:
    path = ("tasks", name)
    is_pattern = has_wildcard(name)
    exchange = _task_exchange(name, spec, defaults, path, names)
    if exchange is None:
        return None
    chosen = {
        option: getattr(defaults, option) if own is None else own
        for option in SendingSpec.model_fields
        for own in (getattr(spec, option),)
    }
    key = chosen["routing_key"]
    if key is None and exchange.routes_as in KEYED_TYPES:
        names.report(
            "task-without-routing-key",
            f"task `{name}` goes to the {exchange.type} exchange `{exchange.name}` "
            "without a routing key",
            names.source.key_span(path),
            "add `routing_key: ...`",
        )
        return None
    key = (key or "") if is_pattern else with_task(key or "", name)
    _look_up_placeholders(key, spec, path, names)
    return Task(
        name,
        exchange,
        key,
        headers=chosen["headers"] or {},
        priority=chosen["priority"],
        serializer=chosen["serializer"] or "json",
        mandatory=chosen["mandatory"] is not False,
        immediate=chosen["immediate"] is True,
        ignore_result=chosen["ignore_result"] is True,
        expires=_seconds(chosen["expires"]),
        retry=None if chosen["retry"] is None else _retry(chosen["retry"]),
        early=chosen["acknowledge"] == "early",
        soft_time_limit=_seconds(chosen["soft_time_limit"]),
        time_limit=_seconds(chosen["time_limit"]),
        multicast=spec.multicast,
        parameters=spec.parameters,
        is_pattern=is_pattern,
        origin=Origin(names.source, path),
    )


def _retry(spec: RetrySpec) -> RetryPolicy:
    backoff, longest = spec.backoff / 1000, spec.max_backoff / 1000
    return RetryPolicy(spec.max, backoff, max(backoff, longest), spec.jitter, spec.on)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _look_up_placeholders(key: str, spec: TaskSpec, path: Path, names: Names) -> None:
    where = (*path, "routing_key")
    word = misplaced(key)
    if word is not None:
        names.report(
            "malformed-placeholder",
            f"`{word}` has a placeholder inside of it, and a placeholder is a whole word",
            names.source.span(where),
            "put dots around it",
        )
    if words(key).count(f"{{{TASK}}}") > 1:
        names.report(
            "malformed-placeholder",
            f"the routing key `{key}` has `{{{TASK}}}` twice, which stands for any number of words",
            names.source.span(where),
            "take one away, or declare the tasks by their own names",
        )
    known = tuple(it for it in placeholders(key) if it != TASK)
    for name, values in spec.parameters.items():
        if name not in known:
            names.report(
                "unused-parameter",
                f"the routing key `{key}` has no placeholder `{{{name}}}`",
                names.source.key_span((*path, "parameters", name)),
                did_you_mean(name, known) or "take the parameter away",
            )
        for index, value in enumerate(values):
            if not value or "." in value or has_wildcard(value):
                names.report(
                    "malformed-parameter",
                    f"`{value}` cannot be a word of a routing key",
                    names.source.span((*path, "parameters", name, index)),
                    "a value has no dots, is not empty, and is neither `*` nor `#`",
                )


def _task_exchange(
    name: str, spec: TaskSpec, defaults: SendingSpec, path: Path, names: Names
) -> Exchange | None:
    if spec.exchange is not None:
        return names.exchange(spec.exchange, (*path, "exchange"), f"the exchange of task `{name}`")
    if defaults.exchange is not None:
        where = ("defaults", "exchange")
        return names.exchange(defaults.exchange, where, "the default exchange of tasks")
    names.report(
        "task-without-exchange",
        f"task `{name}` has no exchange to go to",
        names.source.key_span(path),
        "add `exchange: ...` to it, or to `defaults`",
    )
    return None


def _group(name: str, spec: WorkerGroupSpec, names: Names) -> WorkerGroup:
    path = ("workers", name)
    queues: dict[str, Queue] = {}
    for index, queue_name in enumerate(spec.queues):
        where = (*path, "queues", index)
        queue = names.queue(queue_name, where, f"a queue of worker group `{name}`")
        if queue_name in queues:
            names.report(
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
        Origin(names.source, path),
    )
