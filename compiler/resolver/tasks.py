"""Makes the tasks of a topology file: each with its exchange, its key and all its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from routewright.compiler.diagnostics.diagnostic import Note, did_you_mean
from routewright.compiler.diagnostics.source import Path
from routewright.compiler.keys.patterns import Undecided, has_wildcard, words
from routewright.compiler.language.spec import RetrySpec, SendingSpec, TaskSpec, TopologySpec
from routewright.compiler.model.task_keys import TASK, misplaced, placeholders, with_task
from routewright.compiler.model.task_names import Ambiguity, TaskNames
from routewright.compiler.model.topology import KEYED_TYPES, Exchange, Task
from routewright.compiler.resolver.findings import Findings
from routewright.compiler.resolver.names import Names
from routewright.runtime.router.retry_policy import RetryPolicy


def resolve_tasks(spec: TopologySpec, names: Names) -> dict[str, Task]:
    """Returns the tasks by their names; those that cannot be resolved are reported."""
    resolved = [_task(name, written, spec.defaults, names) for name, written in spec.tasks.items()]
    tasks = {task.name: task for task in resolved if task}
    if any(task.is_pattern for task in tasks.values()):
        return _with_narrower_names(tasks, names.findings)
    return tasks


def _with_narrower_names(tasks: Mapping[str, Task], findings: Findings) -> dict[str, Task]:
    """Tells each task whose name is a pattern which of its names belong to other tasks."""
    try:
        task_names = TaskNames(tasks)
    except Undecided as error:
        findings.report(
            "ambiguous-task-name",
            f"which pattern a task's name belongs to is undecided: {error}",
            findings.source.key_span(("tasks",)),
            "use fewer patterns, or begin them with words rather than wildcards",
        )
        return dict(tasks)
    for ambiguity in task_names.ambiguities():
        _report_ambiguity(ambiguity, tasks, findings)
    return {
        name: replace(task, narrower=task_names.narrower(name)) if task.is_pattern else task
        for name, task in tasks.items()
    }


def _report_ambiguity(ambiguity: Ambiguity, tasks: Mapping[str, Task], findings: Findings) -> None:
    first, second = sorted(ambiguity.patterns, key=list(tasks).index)
    findings.report(
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
    exchange = _exchange(name, spec, defaults, names)
    if exchange is None:
        return None
    options = _options(spec, defaults)
    key = _routing_key(name, options["routing_key"], exchange, names.findings)
    if key is None:
        return None
    _check_placeholders(key, spec.parameters, path, names.findings)
    return Task(
        name,
        exchange,
        key,
        headers=options["headers"] or {},
        priority=options["priority"],
        serializer=options["serializer"] or "json",
        mandatory=options["mandatory"] is not False,
        immediate=options["immediate"] is True,
        ignore_result=options["ignore_result"] is True,
        expires=_seconds(options["expires"]),
        retry=None if options["retry"] is None else _retry(options["retry"]),
        early=options["acknowledge"] == "early",
        soft_time_limit=_seconds(options["soft_time_limit"]),
        time_limit=_seconds(options["time_limit"]),
        multicast=spec.multicast,
        parameters=spec.parameters,
        is_pattern=has_wildcard(name),
        origin=names.origin(path),
    )


def _exchange(task: str, spec: TaskSpec, defaults: SendingSpec, names: Names) -> Exchange | None:
    path = ("tasks", task)
    if spec.exchange is not None:
        return names.exchange(spec.exchange, (*path, "exchange"), f"the exchange of task `{task}`")
    if defaults.exchange is not None:
        where = ("defaults", "exchange")
        return names.exchange(defaults.exchange, where, "the default exchange of tasks")
    names.findings.report(
        "task-without-exchange",
        f"task `{task}` has no exchange to go to",
        names.source.key_span(path),
        "add `exchange: ...` to it, or to `defaults`",
    )
    return None


def _options(spec: TaskSpec, defaults: SendingSpec) -> dict[str, Any]:
    """Returns the options of sending and running: the task's own, or else the default ones."""
    return {
        option: getattr(defaults, option) if own is None else own
        for option in SendingSpec.model_fields
        for own in (getattr(spec, option),)
    }


def _routing_key(
    task: str, written: str | None, exchange: Exchange, findings: Findings
) -> str | None:
    """Returns the key with the task's name filled in; None where there must be one and is none."""
    if written is None and exchange.routes_as in KEYED_TYPES:
        findings.report(
            "task-without-routing-key",
            f"task `{task}` goes to the {exchange.type} exchange `{exchange.name}` "
            "without a routing key",
            findings.source.key_span(("tasks", task)),
            "add `routing_key: ...`",
        )
        return None
    key = written or ""
    return key if has_wildcard(task) else with_task(key, task)


def _retry(spec: RetrySpec) -> RetryPolicy:
    backoff, longest = spec.backoff / 1000, spec.max_backoff / 1000
    return RetryPolicy(spec.max, backoff, max(backoff, longest), spec.jitter, spec.on)


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _check_placeholders(
    key: str, parameters: Mapping[str, tuple[str, ...]], path: Path, findings: Findings
) -> None:
    """Reports placeholders that are no whole word, and parameters that fit no placeholder."""
    where = (*path, "routing_key")
    word = misplaced(key)
    if word is not None:
        findings.report(
            "malformed-placeholder",
            f"`{word}` has a placeholder inside of it, and a placeholder is a whole word",
            findings.source.span(where),
            "put dots around it",
        )
    if words(key).count(f"{{{TASK}}}") > 1:
        findings.report(
            "malformed-placeholder",
            f"the routing key `{key}` has `{{{TASK}}}` twice, which stands for any number of words",
            findings.source.span(where),
            "take one away, or declare the tasks by their own names",
        )
    known = tuple(name for name in placeholders(key) if name != TASK)
    for name, values in parameters.items():
        if name not in known:
            findings.report(
                "unused-parameter",
                f"the routing key `{key}` has no placeholder `{{{name}}}`",
                findings.source.key_span((*path, "parameters", name)),
                did_you_mean(name, known) or "take the parameter away",
            )
        for index, value in enumerate(values):
            if not value or "." in value or has_wildcard(value):
                findings.report(
                    "malformed-parameter",
                    f"`{value}` cannot be a word of a routing key",
                    findings.source.span((*path, "parameters", name, index)),
                    "a value has no dots, is not empty, and is neither `*` nor `#`",
                )
