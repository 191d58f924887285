from __future__ import annotations

from collections.abc import Iterable, Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, did_you_mean
from routewright.compiler.model.topology import Task


def unregistered_task(without_code: Iterable[Task], known: Iterable[str]) -> Iterator[Diagnostic]:
    """The topology declares a task for which the application has no code."""
    names = list(known)
    for task in without_code:
        what = "a name that matches" if task.is_pattern else "the name of"
        yield Diagnostic(
            "unregistered-task",
            f"no code of the application has {what} task `{task.name}`",
            task.origin.key_span(),
            help=did_you_mean(
                task.name, names, "import its module, or name it in App(include=...)"
            ),
        )
