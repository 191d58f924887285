"""Which headers a headers binding matches, by RabbitMQ's `rabbit_exchange_type_headers`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

X_MATCH = "x-match"
X_MATCHES = ("all", "any", "all-with-x", "any-with-x")

MAX_COMBINATIONS = 4096
MAX_COMPARED = 300_000
_ABSENT = object()


def headers_match(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Whether a message's headers satisfy a binding's arguments.

    Without `x-match` all of them must. Arguments that begin with `x-` count only in the `-with-x`
    forms. A value of another type never matches; an argument without a value asks for presence.
    """
    mode = arguments.get(X_MATCH, "all")
    wanted = {
        name: value
        for name, value in arguments.items()
        if not name.startswith("x-") or (name != X_MATCH and str(mode).endswith("-with-x"))
    }
    met = (name in headers and _same(value, headers[name]) for name, value in wanted.items())
    return any(met) if str(mode).startswith("any") else all(met)


def _same(wanted: Any, given: Any) -> bool:
    if wanted is None:
        return True
    return _type(wanted) == _type(given) and bool(wanted == given)


def _type(value: Any) -> str:
    """The type a value has for the broker: 1 is 1.0, and True is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


class Undecidable(Exception):
    """There are more combinations of headers than are looked at."""


class _Other:
    """A value that no binding names."""


def printed(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Headers as they are shown; a value that no binding names is said to be another one."""
    plain = (str, int, float, bool)
    return {name: it if isinstance(it, plain) else "another value" for name, it in headers.items()}


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
            if name != X_MATCH and not any(_same(value, it) for it in known if it is not _ABSENT):
                known.append(value)
    values.pop(X_MATCH, None)
    if prod(len(known) for known in values.values()) > MAX_COMBINATIONS:
        raise Undecidable(f"more than {MAX_COMBINATIONS:,} combinations of headers")
    for chosen in product(*values.values()):
        yield {
            name: value for name, value in zip(values, chosen, strict=True) if value is not _ABSENT
        }
