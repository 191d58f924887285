"""Which headers a headers binding matches, by RabbitMQ's `rabbit_exchange_type_headers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

X_MATCH = "x-match"
X_MATCHES = ("all", "any", "all-with-x", "any-with-x")

_SMALL = 2**31  # py-amqp sends an integer beyond 32 bits as another type


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
    """The type a value has on the wire, where True is not 1."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "int" if -_SMALL <= value < _SMALL else "long"
    return type(value).__name__
