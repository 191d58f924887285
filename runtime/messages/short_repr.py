"""A short text of any value, for headers and logs: one printable line, that costs little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

_PLAIN = frozenset((int, float, bool, type(None)))  # whose repr is printable, and mostly short
_FEW = 8
LIMIT = 1024  # characters; what Celery allows `argsrepr` and `kwargsrepr`
DEPTH = 4
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("{", "}"),
}


def short_repr(value: object, limit: int = LIMIT) -> str:
    """`repr(value)`, at most `limit` characters long; a container is only read that far.

    It never raises.
    """
    if _is_small(value):
        with suppress(ValueError):  # an int may be too long to be printed
            text = repr(value)
            if len(text) <= limit:
                return text
    parts: list[str] = []
    room = limit
    try:
        for part in _parts(value, limit, DEPTH):
            parts.append(part)
            room -= len(part)
            if room < 0:
                break
    except Exception:  # noqa: BLE001  a container changed meanwhile, or lies about itself
        parts.append("...")
    text = in_line("".join(parts)[: limit + 1])  # a custom `__repr__` may return anything
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _is_small(value: Any) -> bool:
    """Whether it is a few plain values, as most tasks have, which need no care."""
    kind = type(value)
    if kind is dict:
        return not value
    return kind in (tuple, list) and len(value) <= _FEW and _PLAIN.issuperset(map(type, value))


def in_line(text: str) -> str:
    """The text on one line: what is not printable is escaped, as `repr` does it.

    A message could otherwise forge lines of the log, or send escapes to the terminal that shows it.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _parts(value: Any, limit: int, depth: int) -> Iterator[str]:
    kind = type(value)
    if kind in _BRACKETS:
        start, end = _BRACKETS[kind]
        if kind is tuple and len(value) == 1:
            end = ",)"
        yield start
        yield from _items(value, limit, depth)
        yield end
    elif kind is dict:
        yield "{"
        yield from _pairs(value, limit, depth)
        yield "}"
    elif kind in (str, bytes, bytearray):
        yield repr(value[:limit])
    else:
        yield _repr(value)


def _items(values: Iterable[Any], limit: int, depth: int) -> Iterator[str]:
    if not depth:
        yield "..."
        return
    for index, value in enumerate(values):
        if index:
            yield ", "
        yield from _parts(value, limit, depth - 1)


def _pairs(values: dict[Any, Any], limit: int, depth: int) -> Iterator[str]:
    if not depth:
        yield "..."
        return
    for index, (key, value) in enumerate(values.items()):
        if index:
            yield ", "
        yield from _parts(key, limit, depth - 1)
        yield ": "
        yield from _parts(value, limit, depth - 1)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  an object may fail to describe itself
        return f"<{type(value).__qualname__} without a repr>"
