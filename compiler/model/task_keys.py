"""Routing keys with placeholders: `orders.{region}.created`.

A placeholder is a whole word. It stands for one of the values that the task's `parameters` list, or
for any word when they do not list it; `{task}` is the task's own name, which may be several words.
The runtime fills the others in from the keyword arguments of a call, and refuses what is no single
plain word, so that what is proved of every value here holds for every message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from routewright.compiler.keys.patterns import Part, Pattern, Undecided, Wild, topic, words
from routewright.compiler.model.topology import Task

MAX_KEYS = 10_000  # that the listed values of one task may combine to

TASK = "task"
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def placeholders(key: str) -> tuple[str, ...]:
    """The names of a key's placeholders, in order, each once."""
    found = (_PLACEHOLDER.fullmatch(word) for word in words(key))
    return tuple(dict.fromkeys(match[1] for match in found if match))


def misplaced(key: str) -> str | None:
    """The first word that has a placeholder inside of it and is none."""
    for word in words(key):
        if _PLACEHOLDER.search(word) and not _PLACEHOLDER.fullmatch(word):
            return word
    return None


def with_task(key: str, task: str) -> str:
    """The key with the task's name in place of `{task}`."""
    return key.replace(f"{{{TASK}}}", task)


def all_listed(task: Task) -> bool:
    """Whether the file lists all that the placeholders of a task's key may be."""
    return task.parameters.keys() >= set(placeholders(task.routing_key))


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that match one pattern, without those that match one of some others."""

    within: Pattern
    apart: tuple[Pattern, ...] = ()


ANY_KEYS = Keys((Wild.MANY,))


def keys_of(task: Task) -> Iterator[Keys]:
    """The keys that the messages of a task may have, for each combination of listed values.

    Of a task whose name is a pattern, `{task}` stands for the names that are its alone.

    Raises:
        Undecided: there are more than `MAX_KEYS` combinations.
    """
    listed = [name for name in placeholders(task.routing_key) if name in task.parameters]
    if prod(len(task.parameters[name]) for name in listed) > MAX_KEYS:
        raise Undecided(f"more than {MAX_KEYS:,} keys of one task")
    named = task.is_pattern and TASK in placeholders(task.routing_key)
    for values in product(*(task.parameters[name] for name in listed)):
        known: dict[str, Pattern] = {
            name: (value,) for name, value in zip(listed, values, strict=True)
        }
        if not named:
            yield Keys(_key(task.routing_key, known))
            continue
        # Nothing else in the key takes more than a word, so that each key is that of one name.
        yield Keys(
            _key(task.routing_key, {**known, TASK: topic(task.name)}),
            tuple(_key(task.routing_key, {**known, TASK: topic(name)}) for name in task.narrower),
        )


def _key(key: str, values: Mapping[str, Pattern]) -> Pattern:
    """The pattern of a key, given what stands for its placeholders; any word for the others."""
    parts: list[Part] = []
    for word in words(key):
        match = _PLACEHOLDER.fullmatch(word)
        parts += (word,) if match is None else values.get(match[1], (Wild.ONE,))
    return tuple(parts)
