"""Routing keys with placeholders: `orders.{region}.created`.

A placeholder is a whole word. It stands for one of the values that the task's `parameters` list, or
for any word when they do not list it; `{task}` is the task's own name. The runtime fills it in from
the keyword arguments of a call, and refuses what is no single plain word, so that what is proved of
every value here holds for every message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

from routewright.compiler.patterns import Part, Pattern, Undecided, Wild, words

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


def patterns(key: str, parameters: Mapping[str, tuple[str, ...]]) -> Iterator[Pattern]:
    """The keys that a template may become, one pattern for each combination of listed values.

    Raises:
        Undecided: there are more than `MAX_KEYS` combinations.
    """
    listed = [name for name in placeholders(key) if name in parameters]
    if prod(len(parameters[name]) for name in listed) > MAX_KEYS:
        raise Undecided(f"more than {MAX_KEYS:,} keys of one task")
    for values in product(*(parameters[name] for name in listed)):
        yield tuple(_part(word, dict(zip(listed, values, strict=True))) for word in words(key))


def _part(word: str, values: Mapping[str, str]) -> Part:
    match = _PLACEHOLDER.fullmatch(word)
    return word if match is None else values.get(match[1], Wild.ONE)
