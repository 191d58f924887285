from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, warning
from routewright.compiler.keys.patterns import word_with_a_wildcard
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing


def wildcard_inside_task_name(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """The name of a task has a `*` or a `#` as a part of a word.

    Names are patterns by words: `feeds.*` is every task of the module `feeds`, and `feeds*`, which
    Celery takes for a pattern too, is a task of just that name.
    """
    for name, task in topology.tasks.items():
        word = word_with_a_wildcard(name)
        if word is not None:
            yield warning(
                "wildcard-inside-task-name",
                f"`{word}` in the task name `{name}` is an ordinary word",
                task.origin.key_span(),
                help="put a dot between a word and a wildcard",
            )
