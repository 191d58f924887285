"""Task names that are patterns, `feeds.*`, and which of them a name belongs to.

They are patterns by words, as binding keys are. A name belongs to the task of just that name, or
else to the most specific of the patterns that match it: the one that matches no name which the
others do not. The order of the file has no say in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import exactly, has_wildcard, matches, topic
from routewright.compiler.model.task_keys import with_task
from routewright.compiler.model.topology import Task


@dataclass(frozen=True, slots=True)
class Ambiguity:
    """A name that two patterns match, of which neither is more specific; no task has it as its own.

    The patterns are in alphabetical order, and the name is the smallest of its kind.
    """

    patterns: tuple[str, str]
    name: str


class TaskNames:
    """The names of a topology's tasks, sorted out.

    Raises:
        Undecided: the patterns tell more names apart than are looked at.
    """

    def __init__(self, names: Iterable[str]) -> None:
        every = tuple(names)
        self._patterns = frozenset(filter(has_wildcard, every))
        self._together = _met_together(every, self._patterns)
        around = _always_around(self._together)
        self._narrower: defaultdict[str, set[str]] = defaultdict(set)
        for name, wider in around.items():
            for pattern in wider:
                if name not in around[pattern]:
                    self._narrower[pattern].add(name)

    def narrower(self, pattern: str) -> tuple[str, ...]:
        """The names and patterns that take names away from a pattern, sorted."""
        return tuple(sorted(self._narrower.get(pattern, ())))

    def ambiguities(self) -> Iterator[Ambiguity]:
        """Every two patterns that share a name of which it is undecided whose it is."""
        told: set[tuple[str, str]] = set()
        for names, witness in self._together.items():
            if not names <= self._patterns:
                continue  # a task has just this name
            least = [name for name in sorted(names) if names.isdisjoint(self.narrower(name))]
            for pair in pairwise(least):
                if pair not in told:
                    told.add(pair)
                    yield Ambiguity(pair, witness)


def _always_around(together: Iterable[frozenset[str]]) -> dict[str, frozenset[str]]:
    """For each name and pattern, the others that match every name that it matches."""
    around: dict[str, frozenset[str]] = {}
    for names in together:
        for name in names:
            around[name] = around.get(name, names) & names
    return {name: others - {name} for name, others in around.items()}


def _met_together(names: Collection[str], patterns: Collection[str]) -> dict[frozenset[str], str]:
    """The sets of patterns, and perhaps a name, that match the same names: with the smallest."""
    table: PatternTable[str] = PatternTable()
    for pattern in patterns:
        table.add(topic(pattern), pattern)
    for name in names if patterns else ():
        if name not in patterns and next(table.lookup(name), None) is not None:
            table.add(exactly(name), name)
    found: dict[frozenset[str], str] = {}
    for each in key_classes(table):
        found.setdefault(frozenset(each.values), each.witness)
    found.pop(frozenset(), None)
    return found


def owner(tasks: Mapping[str, Task], name: str) -> Task | None:
    """The task that a name belongs to, as it is declared."""
    task = tasks.get(name)
    if task is not None:
        return task
    takers = [
        pattern
        for pattern in tasks.values()
        if pattern.is_pattern and matches(topic(pattern.name), name)
    ]
    taken = {pattern.name for pattern in takers}
    return next((pattern for pattern in takers if taken.isdisjoint(pattern.narrower)), None)


def named(task: Task, name: str) -> Task:
    """One of the tasks that a pattern declares: with its own name, and the key it has by that."""
    if not task.is_pattern:
        return task
    key = with_task(task.routing_key, name)
    return replace(task, name=name, routing_key=key, is_pattern=False, narrower=())
