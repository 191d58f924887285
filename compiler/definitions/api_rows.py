"""Rows of the management API, as the things they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from routewright.compiler.definitions.from_rows import Row
from routewright.compiler.model.topology import Arguments, Exchange, Policy, Queue

Json: TypeAlias = Mapping[str, Any]


class MalformedRow(ValueError):
    """It is not what RabbitMQ says of such a thing."""


def exchange(row: Json) -> Exchange:
    return Exchange(
        _of(str, row, "name"),
        _of(str, row, "type"),
        _of(bool, row, "durable"),
        _of(bool, row, "auto_delete"),
        _of(bool, row, "internal"),
        _table(row, "arguments"),
    )


def queue(row: Json) -> Queue:
    return Queue(
        _of(str, row, "name"),
        _of(bool, row, "durable"),
        _of(bool, row, "auto_delete"),
        _table(row, "arguments"),
    )


def binding(row: Json) -> Row:
    return Row(
        _of(str, row, "source"),
        _of(str, row, "destination"),
        _of(str, row, "destination_type") == "exchange",
        _of(str, row, "routing_key"),
        _table(row, "arguments"),
    )


def policy(row: Json) -> Policy:
    priority = row.get("priority", 0)
    if isinstance(priority, bool) or not isinstance(priority, int | float):
        raise MalformedRow(f"the priority of a policy is {priority!r}")
    return Policy(
        _of(str, row, "name"),
        _of(str, row, "pattern"),
        _table(row, "definition"),
        priority,  # RabbitMQ takes 1.5, and sorts by it
        _of(str, row, "apply-to"),
    )


def _of(kind: type, row: Json, field: str) -> Any:
    value = row.get(field)
    if type(value) is not kind:
        raise MalformedRow(f"`{field}` is {value!r}")
    return value


def _table(row: Json, field: str) -> Arguments:
    """A table; where it is empty, it may come as the empty list, which Erlang has for both."""
    value = row.get(field) or {}
    if not isinstance(value, dict):
        raise MalformedRow(f"`{field}` is {value!r}")
    return value
