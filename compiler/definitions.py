"""RabbitMQ's definitions, generated or exported from a broker, as a topology."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routewright.compiler.policy_match import Item, MalformedPattern, is_tie, winners
from routewright.compiler.topology import (
    PREDECLARED,
    Binding,
    Exchange,
    Policy,
    Queue,
    Topology,
)


class MalformedDefinitions(ValueError):
    """A file is no export of definitions; one line says why."""


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


class _Definitions(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    exchanges: list[_Exchange] = []
    queues: list[_Queue] = []
    bindings: list[_Binding] = []
    policies: list[_Policy] = []


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
    wanted = vhosts if vhost is None else {vhost}
    policies = {
        it.name: Policy(it.name, it.pattern, it.definition, it.priority, it.apply_to)
        for it in found.policies
        if it.vhost in wanted
    }
    exchanges = [
        Exchange(it.name, it.type, it.durable, it.auto_delete, it.internal, it.arguments)
        for it in found.exchanges
        if it.vhost in wanted and it.name not in PREDECLARED
    ]
    queues = [
        Queue(it.name, it.durable, it.auto_delete, it.arguments)
        for it in found.queues
        if it.vhost in wanted
    ]
    topology = Topology(
        name,
        vhost=vhost,
        exchanges={it.name: _with_policy(it, policies, name) for it in exchanges},
        queues={it.name: _with_policy(it, policies, name) for it in queues},
        policies=policies,
        predeclared={it.name: _with_policy(it, policies, name) for it in PREDECLARED.values()},
    )
    bindings = tuple(
        _binding(it, topology, name) for it in found.bindings if it.vhost in wanted and it.source
    )
    return replace(topology, bindings=bindings)


def _with_policy(item: Item, policies: Mapping[str, Policy], name: str) -> Item:
    if not item.name:
        return item  # the default exchange heeds none
    try:
        contending = winners(policies.values(), item)
    except MalformedPattern as error:
        raise MalformedDefinitions(f"{name} has a policy that cannot be judged: {error}") from None
    if is_tie(contending):
        listed = " and ".join(f"`{it.name}`" for it in contending)
        raise MalformedDefinitions(
            f"{name} has policies {listed} of the same priority, which both want `{item.name}`; "
            "which of them counts is for the broker to say"
        )
    return replace(item, policy=contending[0]) if contending else item


def _binding(found: _Binding, topology: Topology, name: str) -> Binding:
    source = topology.exchange(found.source)
    destination: Exchange | Queue | None = topology.queues.get(found.destination)
    if found.destination_type == "exchange":
        destination = topology.exchange(found.destination)
    if source is None or destination is None:
        lacking = found.source if source is None else found.destination
        raise MalformedDefinitions(f"{name} binds `{lacking}`, which it does not define")
    return Binding(source, destination, found.routing_key, found.arguments)
