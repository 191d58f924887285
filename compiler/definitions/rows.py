"""Reads and writes an exchange, a queue, a binding or a policy in RabbitMQ's JSON.

The rows of the management API, files of definitions and plan files share this form. A file of
definitions adds the virtual host to each row; a plan file spells `apply-to` with an underscore.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from routewright.compiler.model.topology import Arguments, Binding, Exchange, Policy, Queue

Json: TypeAlias = Mapping[str, Any]


class MalformedRow(ValueError):
    """A field of a row is missing or has another type than RabbitMQ gives it."""


class BindingRow(NamedTuple):
    """A binding with the names of its ends in place of the ends."""

    source: str
    destination: str
    to_exchange: bool
    key: str
    arguments: Arguments


def write_exchange(exchange: Exchange) -> dict[str, Any]:
    return {
        "name": exchange.name,
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": exchange.arguments,
    }


def read_exchange(row: Json) -> Exchange:
    return Exchange(
        field(row, "name", str),
        field(row, "type", str),
        field(row, "durable", bool),
        field(row, "auto_delete", bool),
        field(row, "internal", bool),
        _table(row, "arguments"),
    )


def write_queue(queue: Queue) -> dict[str, Any]:
    return {
        "name": queue.name,
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "arguments": queue.arguments,
    }


def read_queue(row: Json) -> Queue:
    return Queue(
        field(row, "name", str),
        field(row, "durable", bool),
        field(row, "auto_delete", bool),
        _table(row, "arguments"),
    )


def write_binding(binding: Binding) -> dict[str, Any]:
    return {
        "source": binding.source.name,
        "destination": binding.destination.name,
        "destination_type": "exchange" if isinstance(binding.destination, Exchange) else "queue",
        "routing_key": binding.key,
        "arguments": binding.arguments,
    }


def read_binding(row: Json) -> BindingRow:
    return BindingRow(
        field(row, "source", str),
        field(row, "destination", str),
        field(row, "destination_type", str) == "exchange",
        field(row, "routing_key", str),
        _table(row, "arguments"),
    )


def write_policy(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "pattern": policy.pattern,
        "definition": policy.definition,
        "priority": policy.priority,
        "apply-to": policy.apply_to,
    }


def read_policy(row: Json) -> Policy:
    priority = row.get("priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int | float):
        raise MalformedRow(f"the priority of a policy is {priority!r}")
    return Policy(
        field(row, "name", str),
        field(row, "pattern", str),
        _table(row, "definition"),
        priority,  # RabbitMQ takes 1.5, and sorts by it
        field(row, "apply-to", str),
    )


def field(row: Json, name: str, kind: type) -> Any:
    """Returns one field of a row.

    Raises:
        MalformedRow: the field is missing or has another type.
    """
    value = row.get(name)
    if type(value) is not kind:
        raise MalformedRow(f"`{name}` is {value!r}")
    return value


def _table(row: Json, name: str) -> Arguments:
    """Returns a table of a row; RabbitMQ may write an empty one as an empty list."""
    value = row.get(name) or {}
    if not isinstance(value, dict):
        raise MalformedRow(f"`{name}` is {value!r}")
    return value


def plain(value: Any) -> Any:
    """Returns a mapping or sequence as one that `json` can write: the `default` of an encoder."""
    return dict(value) if hasattr(value, "keys") else list(value)
