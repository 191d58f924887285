"""Reads a file of RabbitMQ's definitions, generated or exported from a broker, as a topology."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from routewright.compiler.definitions import rows
from routewright.compiler.definitions.from_rows import MalformedDefinitions, Parts, assemble
from routewright.compiler.definitions.rows import Json, MalformedRow
from routewright.compiler.model.topology import Policy, Topology

__all__ = ["MalformedDefinitions", "read_definitions"]

Item = TypeVar("Item")

# What RabbitMQ takes for a field that a row leaves out; an exported row has them all.
_DEFAULTS: Mapping[str, Json] = {
    "exchanges": {"durable": True, "auto_delete": False, "internal": False},
    "queues": {"durable": True, "auto_delete": False},
    "bindings": {"routing_key": ""},
    "policies": {"priority": 0, "apply-to": "all"},
    "parameters": {},
}
_OPERATOR_POLICY: Json = {"pattern": "", "priority": 0, "apply-to": "queues"}


def read_definitions(name: str, data: bytes, vhost: str | None = None) -> Topology:
    """Reads the topology in a file of definitions.

    Args:
        name: the name of the file, which becomes the topology's.
        data: the contents of the file.
        vhost: the virtual host to read if the file has several.

    Raises:
        MalformedDefinitions: the file cannot be read, or it has several virtual hosts and `vhost`
            is not given.
    """
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise MalformedRow("it is not a JSON object")
        exchanges = _section(document, "exchanges", rows.read_exchange)
        queues = _section(document, "queues", rows.read_queue)
        bindings = _section(document, "bindings", rows.read_binding)
        policies = _section(document, "policies", rows.read_policy)
        operator_policies = list(_operator_policies(document))
    except (ValueError, RecursionError) as error:
        raise MalformedDefinitions(f"{name} is no file of RabbitMQ definitions: {error}") from None
    vhosts = {at for section in (exchanges, queues, bindings) for at, _ in section}
    if vhost is None and len(vhosts) > 1:
        listed = ", ".join(f"`{at}`" for at in sorted(vhosts))
        raise MalformedDefinitions(f"{name} has several virtual hosts, {listed}; name one")
    wanted = vhosts if vhost is None else {vhost}
    parts = Parts(
        _within(wanted, exchanges),
        _within(wanted, queues),
        [binding for binding in _within(wanted, bindings) if binding.source],
        _within(wanted, policies),
        _within(wanted, operator_policies),
    )
    return assemble(parts, name, vhost)


def _section(document: Json, section: str, read: Callable[[Json], Item]) -> list[tuple[str, Item]]:
    """Reads all rows of a section, each with its virtual host."""
    return [(vhost, read(row)) for vhost, row in _rows(document, section)]


def _rows(document: Json, section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    found = document.get(section, [])
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise MalformedRow(f"`{section}` is not a list of objects")
    for row in found:
        yield rows.field({"vhost": "/", **row}, "vhost", str), {**_DEFAULTS[section], **row}


def _operator_policies(document: Json) -> Iterator[tuple[str, Policy]]:
    for vhost, row in _rows(document, "parameters"):
        value = row.get("value")
        if row.get("component") == "operator_policy" and isinstance(value, dict):
            policy = {**_OPERATOR_POLICY, **value, "name": row.get("name", "")}
            yield vhost, rows.read_policy(policy)


def _within(vhosts: Collection[str], section: Collection[tuple[str, Item]]) -> list[Item]:
    return [item for vhost, item in section if vhost in vhosts]
