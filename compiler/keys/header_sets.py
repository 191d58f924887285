"""Every way in which the headers of a message can match headers bindings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from routewright.runtime.router.headers import X_MATCH, headers_match, same_value

X_MATCHES = ("all", "any", "all-with-x", "any-with-x")

MAX_COMBINATIONS = 4096
MAX_COMPARED = 300_000
_ABSENT = object()


class Undecidable(Exception):
    """There are more combinations of headers than are looked at."""


class _Other:
    """A value that no binding names."""


def printed(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers as they are shown; a value that no binding names is said to be another one."""
    plain = (str, int, float, bool)
    return {name: it if isinstance(it, plain) else "another value" for name, it in headers.items()}


def asks_how_it_died(arguments: Mapping[str, Any]) -> bool:
    """Whether a headers binding looks at what RabbitMQ writes into dead letters.

    That is in headers such as `x-first-death-queue`.
    """
    with_x = str(arguments.get(X_MATCH)).endswith("-with-x")
    return with_x and any(it.startswith("x-") and it != X_MATCH for it in arguments)


def header_classes(
    tables: Sequence[Mapping[str, Any]], always: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], frozenset[int]]]:
    """Each set of bindings that messages can match by headers, as places, and the fewest that do.

    Every message has the headers in `always`.

    Raises:
        Undecidable: there are more than `MAX_COMBINATIONS` combinations, or `MAX_COMPARED`
            comparisons of one with a binding.
    """
    fixed = {name: it for name, it in always.items() if any(name in table for table in tables)}
    combinations = sorted(all_headers(tables), key=len)
    count = len(combinations)
    if count * len(tables) > MAX_COMPARED:
        raise Undecidable(f"{count:,} combinations of headers in {len(tables):,} bindings")
    seen: set[frozenset[int]] = set()
    for some in combinations:
        headers = {**some, **fixed}
        matched = frozenset(at for at, it in enumerate(tables) if headers_match(it, headers))
        if matched not in seen:
            seen.add(matched)
            yield headers, matched


def all_headers(tables: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Headers for every way in which messages can match some bindings, without any first.

    Bindings look at each header alone: whether it is there, and whether its value is one that they
    name. So it is enough to try, of each header, its absence, each value named, and another one.

    Raises:
        Undecidable: there are more than `MAX_COMBINATIONS` combinations.
    """
    values: dict[str, list[Any]] = {}
    for table in tables:
        for name, value in table.items():
            known = values.setdefault(name, [_ABSENT, _Other()])
            if name != X_MATCH and not any(
                same_value(value, it) for it in known if it is not _ABSENT
            ):
                known.append(value)
    values.pop(X_MATCH, None)
    if prod(len(known) for known in values.values()) > MAX_COMBINATIONS:
        raise Undecidable(f"more than {MAX_COMBINATIONS:,} combinations of headers")
    for chosen in product(*values.values()):
        yield {
            name: value for name, value in zip(values, chosen, strict=True) if value is not _ABSENT
        }
