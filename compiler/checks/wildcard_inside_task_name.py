from __future__ import annotations

from collections.abc import Iterator

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Severity
from routewright.compiler.keys.patterns import Wild, topic
from routewright.compiler.model.topology import Topology
from routewright.compiler.routing.routing import Routing

_SIGNS = frozenset(wild.value for wild in Wild)


def wildcard_inside_task_name(topology: Topology, _routing: Routing) -> Iterator[Diagnostic]:
    """The name of a task has a `*` or a `#` as a part of a word.

    Names are patterns by words: `feeds.*` is every task of the module `feeds`, and `feeds*`, which
    Celery takes for a pattern too, is a task of just that name.
    """
    for name, task in topology.tasks.items():
        words = (word for word in topic(name) if not isinstance(word, Wild))
        word = next((word for word in words if not _SIGNS.isdisjoint(word)), None)
        if word is not None:
            yield Diagnostic(
                "wildcard-inside-task-name",
                f"`{word}` in the task name `{name}` is an ordinary word",
                task.origin.key_span(),
                help="put a dot between a word and a wildcard",
                severity=Severity.WARNING,
            )
