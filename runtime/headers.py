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
    mode = arguments.get(X_MATCH, "all")
    wanted = {
        name: value
        for name, value in arguments.items()
        if not name.startswith("x-") or (name != X_MATCH and str(mode).endswith("-with-x"))
    }
    met = (name in headers and same_value(value, headers[name]) for name, value in wanted.items())
    return any(met) if str(mode).startswith("any") else all(met)


def same_value(wanted: Any, given: Any) -> bool:
    """Whether a binding's value is a header's, for the broker."""
    if wanted is None:
        return True
    return _type(wanted) == _type(given) and bool(wanted == given)


def _type(value: Any) -> str:
    """The type a value has for the broker: 1 is 1.0, and True is neither."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return type(value).__name__
