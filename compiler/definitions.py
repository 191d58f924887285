"""RabbitMQ's definitions, generated or exported from a broker, as a topology."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from routewright.compiler.policy_match import (
    Item,
    MalformedPattern,
    is_tie,
    winners,
    with_operator_policy,
)
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
    return _topology(found, name, vhost, vhosts if vhost is None else {vhost})


def read_live(name: str, sections: Mapping[str, Any], vhost: str) -> Topology:
    """The topology that a broker says it has, in the sections of definitions.

    Of policies of the same priority it takes the first by name: that is for the broker to say, and
    those who ask have not written them. What is bound to something that went away is left out.

    Raises:
        MalformedDefinitions: it is not what a broker says.
    """
    try:
        found = _Definitions.model_validate(sections)
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise MalformedDefinitions(f"{name} does not answer as RabbitMQ does: {what}") from None
    return _topology(found, name, vhost, {vhost}, live=True)


def _topology(
    found: _Definitions, name: str, vhost: str | None, wanted: set[str], *, live: bool = False
) -> Topology:
    policies = {
        it.name: Policy(it.name, it.pattern, it.definition, it.priority, it.apply_to)
        for it in sorted(found.policies, key=lambda it: it.name)
        if it.vhost in wanted
    }
    counted = _Policies(name, policies.values(), [*_operator_policies(found, wanted)], live)
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
        exchanges={it.name: counted.applied_to(it) for it in exchanges},
        queues={it.name: counted.applied_to(it) for it in queues},
        policies=policies,
        predeclared={it.name: counted.applied_to(it) for it in PREDECLARED.values()},
    )
    bindings = tuple(
        bound
        for it in found.bindings
        if it.vhost in wanted and it.source
        for bound in _binding(it, topology, name, live=live)
    )
    return replace(topology, bindings=bindings)


def _operator_policies(found: _Definitions, wanted: set[str]) -> Iterator[Policy]:
    for it in sorted(found.parameters, key=lambda it: it.name):
        if it.component == "operator_policy" and it.vhost in wanted and isinstance(it.value, dict):
            rest = {key.replace("-", "_"): value for key, value in it.value.items()}
            yield Policy(
                it.name,
                str(rest.get("pattern", "")),
                rest.get("definition") or {},
                rest.get("priority") or 0,
                rest.get("apply_to") or "queues",
            )


@dataclass(frozen=True, slots=True)
class _Policies:
    """The policies of users and of operators that things may get."""

    name: str  # of the file or the broker that has them
    policies: Collection[Policy]
    operator_policies: Collection[Policy]
    live: bool

    def applied_to(self, item: Item) -> Item:
        if not item.name:
            return item  # the default exchange heeds none
        policy = self._winner(self.policies, item)
        if isinstance(item, Queue):
            limits = self._winner(self.operator_policies, item)
            if limits:
                policy = with_operator_policy(policy, limits)
        return replace(item, policy=policy) if policy else item

    def _winner(self, policies: Collection[Policy], item: Exchange | Queue) -> Policy | None:
        if not policies:
            return None
        try:
            contending = winners(policies, item)
        except MalformedPattern as error:
            raise MalformedDefinitions(
                f"{self.name} has a policy that cannot be judged: {error}"
            ) from None
        if is_tie(contending) and not self.live:
            listed = " and ".join(f"`{it.name}`" for it in contending)
            raise MalformedDefinitions(
                f"{self.name} has policies {listed} of the same priority, which both want "
                f"`{item.name}`; which of them counts is for the broker to say"
            )
        return contending[0] if contending else None


def _binding(found: _Binding, topology: Topology, name: str, *, live: bool) -> Iterator[Binding]:
    source = topology.exchange(found.source)
    destination: Exchange | Queue | None = topology.queues.get(found.destination)
    if found.destination_type == "exchange":
        destination = topology.exchange(found.destination)
    if source is not None and destination is not None:
        yield Binding(source, destination, found.routing_key, found.arguments)
    elif not live:
        lacking = found.source if source is None else found.destination
        raise MalformedDefinitions(f"{name} binds `{lacking}`, which it does not define")
