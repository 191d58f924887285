"""Values as texts by which one is the same as another: 1, 1.0 and true are three."""

from __future__ import annotations

import json
from typing import Any

from routewright.compiler.definitions.rows import plain
from routewright.compiler.model.topology import Argument, Exchange, Policy, Queue


def canonical(value: Any) -> str:
    """The text of a value that a broker or a topology file can say."""
    return _encode(value)


def canonical_policy(policy: Policy) -> str:
    """The text of all that a policy says; its name apart."""
    said = (policy.pattern, policy.definition, float(policy.priority), policy.apply_to)
    return canonical(said)


def comparable_arguments(item: Exchange | Queue) -> dict[str, Argument]:
    """The arguments that tell one declaration from another.

    RabbitMQ 4.0 and newer lists every classic queue with `x-queue-type: classic`, declared or not;
    3.10 lists only what was declared.
    """
    arguments = dict(item.arguments)
    if isinstance(item, Queue) and item.type == "classic":
        arguments.pop("x-queue-type", None)
    return arguments


_encode = json.JSONEncoder(sort_keys=True, default=plain).encode  # made once: it is asked often
