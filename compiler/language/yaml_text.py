"""Reads a YAML text as plain values, and reports everything that is wrong with it as YAML.

YAML is read through PyYAML's node graph and not through its constructors, because the nodes know
their line and column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Path, Source
from routewright.compiler.language.yaml_errors import refusal_of, unprintable
from routewright.compiler.language.yaml_limits import (
    MAX_DEPTH,
    MAX_NODES,
    Stop,
    extent_of,
    measure,
    too_deep,
    too_many,
)
from routewright.compiler.language.yaml_values import Builder

_MENDED_CHARACTERS = 4_000_000  # how much text is read again, all in all, to find further errors

_CLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a YAML text says: its value, what is wrong with it, and where there is no value.

    `value` is None where the whole text has none.
    """

    value: Any
    found: list[Diagnostic]
    unreadable: frozenset[Path] = frozenset()


def read(source: Source, environment: Mapping[str, str]) -> Reading:
    """The value of a YAML text; the places of its parts are put into `source.places`."""
    found = unprintable(source)
    if found:
        return Reading(None, found)
    node, found, mended = _compose(source)
    if node is None:
        return Reading(None, found or [_empty(source)])
    try:
        measure(source, node)
    except Stop as stop:
        return Reading(None, [*found, stop.diagnostic])
    builder = Builder(source, environment, found, mended)
    value = builder.build(node)
    if value is None:
        return Reading(None, found or [_empty(source)])
    return Reading(value, found, frozenset(builder.unreadable))


def read_scalar(text: str) -> str | int | float | bool:
    """Reads one value that is in no file; what is not a scalar in YAML stays text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, str | int | float | bool) else text


def _compose(
    source: Source,
) -> tuple[yaml.Node | None, list[Diagnostic], set[tuple[int, int]]]:
    """The node graph; with the errors met, and the places mended to get past them."""
    found: list[Diagnostic] = []
    mended: set[tuple[int, int]] = set()
    text = source.text
    budget = _MENDED_CHARACTERS
    while True:
        loader = _Loader(text, source)
        try:
            return loader.get_single_node(), found, mended
        except Stop as stop:
            return None, [*found, stop.diagnostic], mended
        except yaml.MarkedYAMLError as error:
            refusal = refusal_of(source, error)
        finally:
            loader.dispose()
        found.append(refusal.diagnostic)
        budget -= len(text)
        if refusal.mend_at is None or refusal.mend_at in mended:
            return None, found, mended
        if budget < 0:
            return None, [*found, _more(source, found[-1])], mended
        mended.add(refusal.mend_at)
        at = source.offset(*refusal.mend_at)
        text = f"{text[:at]}{'x' * refusal.mended}{text[at + refusal.mended :]}"


class _Loader(_CLoader):  # type: ignore[valid-type, misc]
    """PyYAML's parser, composer and resolver, made to stop at a depth."""

    def __init__(self, text: str, source: Source) -> None:
        super().__init__(text)
        self._source = source
        self._depth = 0
        self._nodes = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:  # noqa: ARG002
        """Called by the composer before each node; its own use for it is not needed here."""
        self._depth += 1
        self._nodes += 1
        if self._depth > MAX_DEPTH:
            raise Stop(too_deep(self._source, extent_of(current_node)))
        if self._nodes > MAX_NODES:
            raise Stop(too_many(self._source, extent_of(current_node)))

    def ascend_resolver(self) -> None:
        """Called by the composer after each node."""
        self._depth -= 1


def _more(source: Source, last: Diagnostic) -> Diagnostic:
    return Diagnostic(
        "too-many-errors",
        "reading on to find further errors would take too long",
        last.span or source.span(()),
        help="mend the first ones and run again",
    )


def _empty(source: Source) -> Diagnostic:
    return Diagnostic(
        "empty-file",
        "the file declares nothing",
        source.span(()),
        help="begin with the topology's name: `topology: media`",
    )
