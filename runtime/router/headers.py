"""Which headers a headers binding matches, by RabbitMQ's `rabbit_exchange_type_headers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

X_MATCH = "x-match"


def headers_match(arguments: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Whether a message's headers satisfy a binding's arguments.

    Without `x-match` all of them must. Arguments that begin with `x-` count only in the `-with-x`
    forms. A value of another type never matches; an argument without a value asks for presence.
    """
    wanted = _wanted(arguments)
    met = (name in headers and same_value(value, headers[name]) for name, value in wanted.items())
    return any(met) if _any_will_do(arguments) else all(met)


def matches_nothing(arguments: Mapping[str, Any]) -> bool:
    """Whether no headers satisfy a binding's arguments: one of them should do, and none counts."""
    return _any_will_do(arguments) and not _wanted(arguments)


def same_value(wanted: Any, given: Any) -> bool:
    """Whether a binding's value is a header's, for the broker."""
    if wanted is None:
        return True
    return _type(wanted) == _type(given) and bool(wanted == given)


def _wanted(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments that count."""
    with_x = str(arguments.get(X_MATCH)).endswith("-with-x")
    return {
        name: value
        for name, value in arguments.items()
        if not name.startswith("x-") or (name != X_MATCH and with_x)
    }


def _any_will_do(arguments: Mapping[str, Any]) -> bool:
    return str(arguments.get(X_MATCH)).startswith("any")


def _type(value: Any) -> str:
    """The type a value has for the broker: 1 is 1.0, and True is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__
