"""The exchanges, queues and policies of a topology file, as the broker knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.diagnostics.source import Origin, Path, Source
from routewright.compiler.language.spec import (
    ExchangeSpec,
    LimitsSpec,
    PolicySpec,
    QueueSpec,
    TopologySpec,
)
from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import (
    PREDECLARED,
    Arguments,
    Exchange,
    Policy,
    Queue,
)
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE
from routewright.compiler.rabbitmq.queue_arguments import argument_of
from routewright.compiler.resolver.names import Names

_SPELT_OTHERWISE = ("dead_letter", "max_age", "arguments")
LIMITS = tuple(name for name in LimitsSpec.model_fields if name not in _SPELT_OTHERWISE)
ARGUMENT_OPTIONS = (*LIMITS, "max_priority", "single_active_consumer", "quorum_initial_group_size")

_DEAD_LETTER_EXCHANGE, _DEAD_LETTER_KEY = "x-dead-letter-exchange", "x-dead-letter-routing-key"

Given = dict[str, tuple[Path, Any]]
"""What options say, by the names of the broker's arguments, each with the option's path."""


def broker_objects(spec: TopologySpec, source: Source, found: list[Diagnostic]) -> Names:
    """Everything in a file that has a name on the broker; what is wrong with it is reported."""
    policies = {name: _policy(name, it, source, found) for name, it in spec.policies.items()}
    counted = policies.values()
    exchanges = {
        name: with_policy(_exchange(name, it, source, found), counted)
        for name, it in spec.exchanges.items()
    }
    queues = {
        name: with_policy(_queue(name, it, source, found), counted)
        for name, it in spec.queues.items()
    }
    predeclared = {
        name: with_policy(it, counted) if name else it for name, it in PREDECLARED.items()
    }
    names = Names(source, exchanges, queues, found, policies, predeclared)
    for exchange in exchanges.values():
        _look_up_alternate(exchange, names)
    for queue in queues.values():
        _look_up_dead_letter(queue.arguments, queue.origin.path, f"of `{queue.name}`", "", names)
    for policy in policies.values():
        _look_up_names_of(policy, names)
    return names


def _exchange(name: str, spec: ExchangeSpec, source: Source, found: list[Diagnostic]) -> Exchange:
    path = ("exchanges", name)
    options: Given = {ALTERNATE_EXCHANGE: (("alternate_exchange",), spec.alternate_exchange)}
    return Exchange(
        name,
        spec.type,
        spec.durable,
        spec.auto_delete,
        spec.internal,
        _merged(options, spec.arguments, source, path, found),
        Origin(source, path),
    )


def _queue(name: str, spec: QueueSpec, source: Source, found: list[Diagnostic]) -> Queue:
    path = ("queues", name)
    options: Given = {"x-queue-type": (("type",), spec.type)}
    for option in ARGUMENT_OPTIONS:
        options[argument_of(option)] = ((option,), getattr(spec, option))
    options |= _spelt_otherwise(spec)
    return Queue(
        name,
        spec.durable,
        spec.auto_delete,
        _merged(options, spec.arguments, source, path, found),
        spec.tap,
        Origin(source, path),
    )


def _policy(name: str, spec: PolicySpec, source: Source, found: list[Diagnostic]) -> Policy:
    path = ("policies", name)
    written = spec.definition
    limits: Given = {
        argument_of(option): ((option,), getattr(written, option)) for option in LIMITS
    }
    limits |= _spelt_otherwise(written)
    options = {key.removeprefix("x-"): given for key, given in limits.items()}
    options[ALTERNATE_EXCHANGE] = (("alternate_exchange",), written.alternate_exchange)
    definition = _merged(options, written.arguments, source, (*path, "definition"), found)
    if not definition:
        found.append(
            Diagnostic(
                "malformed-policy",
                f"policy `{name}` says nothing, and the broker refuses such a policy",
                source.span((*path, "definition")),
                help="write what it adds, as `message_ttl: 60s`, or take it away",
            )
        )
    return Policy(
        name, spec.pattern, definition, spec.priority, spec.apply_to, Origin(source, path)
    )


def _spelt_otherwise(spec: LimitsSpec) -> Given:
    """The options that are not simply the broker's arguments of the same names."""
    options: Given = {}
    if spec.dead_letter:
        where = ("dead_letter",)
        options[_DEAD_LETTER_EXCHANGE] = (where, spec.dead_letter.exchange)
        options[_DEAD_LETTER_KEY] = (where, spec.dead_letter.routing_key)
    if spec.max_age is not None:  # the broker counts it in whole seconds
        options["x-max-age"] = (("max_age",), f"{spec.max_age // 1000}s")
    return options


def _merged(
    options: Mapping[str, tuple[Path, Any]],
    arguments: dict[str, Any],
    source: Source,
    path: Path,
    found: list[Diagnostic],
) -> dict[str, Any]:
    """The options that are given, under their arguments' names, and the other arguments."""
    given = {name: value for name, (_, value) in options.items() if value is not None}
    for name in sorted(given.keys() & arguments.keys()):
        option = (*path, *options[name][0])
        found.append(
            Diagnostic(
                "argument-given-twice",
                f"`{name}` is given here and by the option `{option[-1]}`",
                source.key_span((*path, "arguments", name)),
                help="keep the option",
                notes=(Note("the option stands here", source.key_span(option)),),
            )
        )
    return {**given, **arguments}


def _look_up_alternate(exchange: Exchange, names: Names) -> None:
    name = exchange.arguments.get(ALTERNATE_EXCHANGE)
    if isinstance(name, str):
        where = names.first_written(
            exchange.origin.path, ("alternate_exchange",), ("arguments", ALTERNATE_EXCHANGE)
        )
        names.exchange(name, where, f"the alternate exchange of `{exchange.name}`")


def _look_up_names_of(policy: Policy, names: Names) -> None:
    path = (*policy.origin.path, "definition")
    whose = f"of policy `{policy.name}`"
    arguments = {f"x-{key}": value for key, value in policy.definition.items()}
    _look_up_dead_letter(arguments, path, whose, "x-", names)
    alternate = policy.definition.get(ALTERNATE_EXCHANGE)
    if isinstance(alternate, str):
        where = names.first_written(
            path, ("alternate_exchange",), ("arguments", ALTERNATE_EXCHANGE)
        )
        names.exchange(alternate, where, f"the alternate exchange {whose}")


def _look_up_dead_letter(
    arguments: Arguments, path: Path, whose: str, dropped: str, names: Names
) -> None:
    """Look up where dead letters go; `dropped` is what a policy leaves out of arguments' names."""
    name, key = arguments.get(_DEAD_LETTER_EXCHANGE), arguments.get(_DEAD_LETTER_KEY)
    if not isinstance(name, str):
        return
    where = names.first_written(
        path,
        ("dead_letter", "exchange"),
        ("arguments", _DEAD_LETTER_EXCHANGE.removeprefix(dropped)),
    )
    exchange = names.exchange(name, where, f"the dead-letter exchange {whose}")
    if exchange and not exchange.name and isinstance(key, str):  # by the default exchange
        where = names.first_written(
            path,
            ("dead_letter", "routing_key"),
            ("arguments", _DEAD_LETTER_KEY.removeprefix(dropped)),
        )
        names.queue(key, where, f"the dead-letter queue {whose}")
