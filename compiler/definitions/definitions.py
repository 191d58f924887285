"""A file of RabbitMQ's definitions, generated or exported from a broker, as a topology."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routewright.compiler.definitions.from_rows import MalformedDefinitions, Parts, Row, assemble
from routewright.compiler.model.topology import Exchange, Policy, Queue, Topology

__all__ = ["MalformedDefinitions", "read_definitions"]


class _Exported(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # a broker exports far more

    vhost: str = "/"
    arguments: dict[str, Any] = {}


class _Exchange(_Exported):
    name: str
    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False


class _Queue(_Exported):
    name: str
    durable: bool = True
    auto_delete: bool = False


class _Binding(_Exported):
    source: str
    destination: str
    destination_type: str
    routing_key: str = ""


class _Policy(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    vhost: str = "/"
    name: str
    pattern: str
    definition: dict[str, Any]
    priority: float = 0  # RabbitMQ takes 1.5, and sorts by it
    apply_to: str = Field("all", alias="apply-to")


class _Parameter(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    vhost: str = "/"
    component: str = ""
    name: str = ""
    value: Any = None


class _Definitions(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    exchanges: list[_Exchange] = []
    queues: list[_Queue] = []
    bindings: list[_Binding] = []
    policies: list[_Policy] = []
    parameters: list[_Parameter] = []


def read_definitions(name: str, data: bytes, vhost: str | None = None) -> Topology:
    """The topology in a file of definitions.

    Args:
        name: the file's, which the topology gets.
        data: what is in it.
        vhost: the virtual host to read, where the file has several.

    Raises:
        MalformedDefinitions: it cannot be read, or it has several virtual hosts and none is named.
    """
    try:
        found = _Definitions.model_validate(json.loads(data))
    except (ValueError, RecursionError) as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise MalformedDefinitions(f"{name} is no file of RabbitMQ definitions: {what}") from None
    vhosts = {it.vhost for it in (*found.exchanges, *found.queues, *found.bindings)}
    if vhost is None and len(vhosts) > 1:
        listed = ", ".join(f"`{it}`" for it in sorted(vhosts))
        raise MalformedDefinitions(f"{name} has several virtual hosts, {listed}; name one")
    return assemble(_parts(found, vhosts if vhost is None else {vhost}), name, vhost)


def _parts(found: _Definitions, wanted: Collection[str]) -> Parts:
    return Parts(
        [
            Exchange(it.name, it.type, it.durable, it.auto_delete, it.internal, it.arguments)
            for it in found.exchanges
            if it.vhost in wanted
        ],
        [
            Queue(it.name, it.durable, it.auto_delete, it.arguments)
            for it in found.queues
            if it.vhost in wanted
        ],
        [
            Row(
                it.source,
                it.destination,
                it.destination_type == "exchange",
                it.routing_key,
                it.arguments,
            )
            for it in found.bindings
            if it.vhost in wanted and it.source
        ],
        [
            Policy(it.name, it.pattern, it.definition, it.priority, it.apply_to)
            for it in found.policies
            if it.vhost in wanted
        ],
        [*_operator_policies(found, wanted)],
    )


def _operator_policies(found: _Definitions, wanted: Collection[str]) -> Iterator[Policy]:
    for it in found.parameters:
        if it.component == "operator_policy" and it.vhost in wanted and isinstance(it.value, dict):
            rest = {key.replace("-", "_"): value for key, value in it.value.items()}
            yield Policy(
                it.name,
                str(rest.get("pattern", "")),
                rest.get("definition") or {},
                rest.get("priority") or 0,
                rest.get("apply_to") or "queues",
            )
