"""`names.py`: the names of the topology as types."""

from __future__ import annotations

from collections.abc import Iterable

from routewright.compiler.emit.literal import Subscript, literal
from routewright.compiler.emit.render import render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.model.topology import PREDECLARED, Topology


def names(topology: Topology, stamp: Stamp) -> str:
    """The module of the `Literal` types; a kind of which there is none is `Never`.

    Where tasks' names are patterns, any text may be the name of a task.
    """
    types: dict[str, Iterable[str] | None] = {
        "ExchangeName": topology.exchanges.keys() - PREDECLARED.keys(),
        "GroupName": topology.groups,
        "QueueName": topology.queues,
        "TaskName": None
        if any(it.is_pattern for it in topology.tasks.values())
        else topology.tasks,
    }
    imports = {"Literal" if some else "Never" for some in types.values() if some is not None}
    return render(
        "names.py",
        stamp=stamp,
        imports=[*sorted(imports), "TypeAlias"],
        types=[(name, _alias(name, some)) for name, some in types.items()],
    )


def _alias(name: str, names: Iterable[str] | None) -> str:
    if names is None:
        return "str"
    indices = sorted(names)
    if not indices:
        return "Never"
    return literal(Subscript("Literal", indices), column=len(f"{name}: TypeAlias = "))
