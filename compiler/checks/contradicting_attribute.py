from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.model.topology import Task

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def contradicting_attribute(task: Task, declared: DataclassInstance) -> Iterator[Diagnostic]:
    """The code of a task sets an option to another value than the topology."""
    for option, said in asdict(declared).items():
        written = getattr(task, option, None)
        if said is None or not task.origin.has(option) or said == written:
            continue
        yield warning(
            "contradicting-attribute",
            f"task `{task.name}` has `{option}` {said!r} in its code and {written!r} here, and the "
            "code wins",
            task.origin.span(option),
            help="keep one of them",
        )
