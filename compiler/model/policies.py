"""Which policy a queue or an exchange gets: that of the highest priority among those that match.

A policy matches by a regular expression, anywhere in the name, and is passed over whole by a queue
whose type does not take one of its keys. Only one policy counts; of two with the same priority,
nobody can say which.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

from routewright.compiler.model.topology import Exchange, Policy, Queue, Topology
from routewright.compiler.rabbitmq.policy_keys import TAKEN_BY, is_limit
from routewright.compiler.rabbitmq.queue_arguments import STREAM

Item = TypeVar("Item", Exchange, Queue)

# What Python's `re` takes and means otherwise than PCRE, or what PCRE refuses.
_NOT_PCRE = re.compile(r"\{,|\\[uUN]|\\Z|\(\?[a-zA-Z-]*[aLu]")


# What stands for characters within a set, as a part of one: `[[:digit:]]`. With Erlang's tables
# for PCRE, these are of Latin-1.
_LOWER, _UPPER = "a-z\xaa\xb5\xba\xdf-\xf6\xf8-\xff", "A-Z\xc0-\xd6\xd8-\xde"
_CLASSES = {
    "alnum": f"0-9{_UPPER}{_LOWER}",
    "alpha": f"{_UPPER}{_LOWER}",
    "blank": r"\t ",
    "digit": "0-9",
    "lower": _LOWER,
    "space": r"\t-\r ",
    "upper": _UPPER,
    "word": f"0-9_{_UPPER}{_LOWER}",
    "xdigit": "0-9A-Fa-f",
}
_CLASS = re.compile(r"\[:(?P<name>\w+):\]")
_SET = re.compile(r"\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]", re.DOTALL)


class MalformedPattern(ValueError):
    """The pattern of a policy is no regular expression that PCRE and Python read alike."""


@lru_cache(maxsize=1000)
def regular_expression(pattern: str) -> re.Pattern[str]:
    """The pattern of a policy, to be searched for in what `_as_bytes` makes of a name.

    RabbitMQ's regular expressions are PCRE over bytes, with the letters of Latin-1.

    Raises:
        MalformedPattern: it cannot be read, or PCRE would read it otherwise.
    """
    other = _NOT_PCRE.search(pattern)
    if other:
        raise MalformedPattern(f"`{other[0]}` means something else to RabbitMQ than to Python")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(_SET.sub(_without_classes, _as_bytes(pattern)))
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise MalformedPattern(str(error)) from None


def _without_classes(found: re.Match[str]) -> str:
    """A set with the members of its classes; another escaped character as it is."""
    text = found[0]
    if _CLASS.fullmatch(text):
        raise MalformedPattern(f"`{text}` belongs in a set, as in `[{text}]`")
    return text[0] + _CLASS.sub(lambda known: _CLASSES.get(known["name"], known[0]), text[1:])


def _as_bytes(text: str) -> str:
    """A text whose characters are the bytes of another's UTF-8."""
    return text.encode().decode("latin-1")


def candidates(topology: Topology) -> tuple[Exchange | Queue, ...]:
    """Everything in a topology that may get a policy; the default exchange heeds none."""
    return (
        *topology.queues.values(),
        *(exchange for exchange in topology.every_exchange() if exchange.name),
    )


def policy_matches(policy: Policy, item: Exchange | Queue) -> bool:
    """Returns True if a policy is for things of this kind and name."""
    kinds = {"all", "exchanges"}
    if isinstance(item, Queue):
        kinds = {"all", "queues", "streams" if item.type == STREAM else f"{item.type}_queues"}
    found = regular_expression(policy.pattern).search(_as_bytes(item.name))
    return policy.apply_to in kinds and found is not None


def unfit_key(policy: Policy, item: Exchange | Queue) -> str | None:
    """A key that a queue of this type does not take, for which it passes over the policy."""
    if isinstance(item, Exchange):
        return None
    types = {key: TAKEN_BY.get(key, (item.type,)) for key in policy.definition}
    return next((key for key, takers in types.items() if item.type not in takers), None)


def winners(policies: Iterable[Policy], item: Exchange | Queue) -> tuple[Policy, ...]:
    """The policies of the highest priority that apply: one, or several that contend."""
    applied = [
        policy
        for policy in policies
        if policy_matches(policy, item) and unfit_key(policy, item) is None
    ]
    highest = max((policy.priority for policy in applied), default=0)
    return tuple(policy for policy in applied if policy.priority == highest)


def is_tie(found: tuple[Policy, ...]) -> bool:
    """Whether it is for the broker to say which of the winners counts."""
    return any(policy.definition != found[0].definition for policy in found)


def with_policy(item: Item, policies: Iterable[Policy]) -> Item:
    """A queue or an exchange with the policy that it gets."""
    found = winners(policies, item)
    return replace(item, policy=found[0]) if found else item


def with_operator_policy(policy: Policy | None, limits: Policy) -> Policy:
    """One policy that says of a queue what its policy and its operator policy say together.

    Of two limits the smaller counts, and of anything else what the operator says.
    """
    if policy is None:
        return limits
    definition = dict(policy.definition)
    for key, value in limits.definition.items():
        mine = definition.get(key)
        if isinstance(mine, int) and isinstance(value, int) and is_limit(key):
            definition[key] = min(mine, value)
        else:
            definition[key] = value
    name = f"{policy.name} and the operator's {limits.name}"
    return replace(policy, name=name, definition=definition)
