"""`names.py`: the names of the topology as types."""

from __future__ import annotations

from collections.abc import Iterable

from routewright.compiler.emit.literal import Subscript, literal
from routewright.compiler.emit.render import render
from routewright.compiler.emit.stamp import Stamp
from routewright.compiler.topology import PREDECLARED, Topology


def names(topology: Topology, stamp: Stamp) -> str:
    """The module of the `Literal` types; a kind of which there is none is `Never`."""
    types = {
        "ExchangeName": topology.exchanges.keys() - PREDECLARED.keys(),
        "GroupName": topology.groups,
        "QueueName": topology.queues,
        "TaskName": topology.tasks,
    }
    imports = {"Literal" if some else "Never" for some in types.values()}
    return render(
        "names.py",
        stamp=stamp,
        imports=[*sorted(imports), "TypeAlias"],
        types=[(name, _alias(name, some)) for name, some in types.items()],
    )


def _alias(name: str, names: Iterable[str]) -> str:
    indices = sorted(names)
    if not indices:
        return "Never"
    return literal(Subscript("Literal", indices), column=len(f"{name}: TypeAlias = "))
