"""Makes the exchanges, queues and policies of a topology file, as the broker knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from routewright.compiler.diagnostics.diagnostic import Note
from routewright.compiler.diagnostics.source import Origin, Path
from routewright.compiler.language.spec import (
    ExchangeSpec,
    LimitsSpec,
    PolicySpec,
    QueueSpec,
    TopologySpec,
)
from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import PREDECLARED, Arguments, Exchange, Policy, Queue
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE
from routewright.compiler.resolver.findings import Findings
from routewright.compiler.resolver.names import Declared, Names

_SPELT_OTHERWISE = ("dead_letter", "max_age", "arguments")
LIMITS = tuple(name for name in LimitsSpec.model_fields if name not in _SPELT_OTHERWISE)
ARGUMENT_OPTIONS = (*LIMITS, "max_priority", "single_active_consumer", "quorum_initial_group_size")

_DEAD_LETTER_EXCHANGE, _DEAD_LETTER_KEY = "x-dead-letter-exchange", "x-dead-letter-routing-key"

Options = Mapping[str, tuple[Path, Any]]
"""The values of options by the names of the broker's arguments, each with the option's path."""


def broker_objects(spec: TopologySpec, findings: Findings) -> Declared:
    """Returns everything in a file that has a name on the broker, each with the policy it gets."""
    policies = {name: _policy(name, written, findings) for name, written in spec.policies.items()}
    of_all = policies.values()
    return Declared(
        policies,
        exchanges={
            name: with_policy(_exchange(name, written, findings), of_all)
            for name, written in spec.exchanges.items()
        },
        queues={
            name: with_policy(_queue(name, written, findings), of_all)
            for name, written in spec.queues.items()
        },
        predeclared={
            name: with_policy(exchange, of_all) if name else exchange
            for name, exchange in PREDECLARED.items()
        },
    )


def _exchange(name: str, spec: ExchangeSpec, findings: Findings) -> Exchange:
    path = ("exchanges", name)
    options = {ALTERNATE_EXCHANGE: (("alternate_exchange",), spec.alternate_exchange)}
    return Exchange(
        name,
        spec.type,
        spec.durable,
        spec.auto_delete,
        spec.internal,
        _arguments(options, spec.arguments, path, findings),
        Origin(findings.source, path),
    )


def _queue(name: str, spec: QueueSpec, findings: Findings) -> Queue:
    path = ("queues", name)
    options = {
        "x-queue-type": (("type",), spec.type),
        **_plain_options(spec, ARGUMENT_OPTIONS),
        **_spelt_otherwise(spec),
    }
    return Queue(
        name,
        spec.durable,
        spec.auto_delete,
        _arguments(options, spec.arguments, path, findings),
        spec.tap,
        Origin(findings.source, path),
    )


def _policy(name: str, spec: PolicySpec, findings: Findings) -> Policy:
    path = ("policies", name)
    where = (*path, "definition")
    written = spec.definition
    limits = {**_plain_options(written, LIMITS), **_spelt_otherwise(written)}
    options = {argument.removeprefix("x-"): option for argument, option in limits.items()}
    options[ALTERNATE_EXCHANGE] = (("alternate_exchange",), written.alternate_exchange)
    definition = _arguments(options, written.arguments, where, findings)
    if not definition:
        findings.report(
            "malformed-policy",
            f"policy `{name}` says nothing, and the broker refuses such a policy",
            findings.source.span(where),
            "write what it adds, as `message_ttl: 60s`, or take it away",
        )
    origin = Origin(findings.source, path)
    return Policy(name, spec.pattern, definition, spec.priority, spec.apply_to, origin)


def _plain_options(spec: LimitsSpec, names: tuple[str, ...]) -> Options:
    """Returns the options that are the broker's arguments of the same names."""
    return {f"x-{name.replace('_', '-')}": ((name,), getattr(spec, name)) for name in names}


def _spelt_otherwise(spec: LimitsSpec) -> Options:
    """Returns the options that are not simply the broker's arguments of the same names."""
    options: dict[str, tuple[Path, Any]] = {}
    if spec.dead_letter:
        where = ("dead_letter",)
        options[_DEAD_LETTER_EXCHANGE] = (where, spec.dead_letter.exchange)
        options[_DEAD_LETTER_KEY] = (where, spec.dead_letter.routing_key)
    if spec.max_age is not None:  # the broker counts it in whole seconds
        options["x-max-age"] = (("max_age",), f"{spec.max_age // 1000}s")
    return options


def _arguments(
    options: Options, arguments: dict[str, Any], path: Path, findings: Findings
) -> dict[str, Any]:
    """Returns the options that are written, by their arguments' names, and the other arguments."""
    written = {name: value for name, (_, value) in options.items() if value is not None}
    for name in sorted(written.keys() & arguments.keys()):
        option = (*path, *options[name][0])
        findings.report(
            "argument-given-twice",
            f"`{name}` is given here and by the option `{option[-1]}`",
            findings.source.key_span((*path, "arguments", name)),
            "keep the option",
            (Note("the option stands here", findings.source.key_span(option)),),
        )
    return {**written, **arguments}


class _Referring(NamedTuple):
    """The arguments of an exchange, a queue or a policy, some of which name others.

    A policy leaves out the `prefix` of the arguments' names.
    """

    arguments: Arguments
    path: Path
    whose: str  # for messages
    prefix: str = ""

    def name(self, argument: str) -> str | None:
        """Returns the name that an argument has for its value."""
        value = self.arguments.get(argument.removeprefix(self.prefix))
        return value if isinstance(value, str) else None

    def place(self, argument: str, option: Path, names: Names) -> Path:
        """Returns the path at which an argument is written: as an option or as an argument."""
        as_option = (*self.path, *option)
        as_argument = (*self.path, "arguments", argument.removeprefix(self.prefix))
        places = names.source.places
        return as_argument if as_option not in places and as_argument in places else as_option


def look_up_references(names: Names) -> None:
    """Looks up every alternate exchange, dead-letter exchange and dead-letter queue."""
    for exchange in names.declared.exchanges.values():
        whose = f"of `{exchange.name}`"
        _look_up_alternate(_Referring(exchange.arguments, exchange.origin.path, whose), names)
    for queue in names.declared.queues.values():
        whose = f"of `{queue.name}`"
        _look_up_dead_letter(_Referring(queue.arguments, queue.origin.path, whose), names)
    for policy in names.declared.policies.values():
        path, whose = (*policy.origin.path, "definition"), f"of policy `{policy.name}`"
        referring = _Referring(policy.definition, path, whose, "x-")
        _look_up_dead_letter(referring, names)
        _look_up_alternate(referring, names)


def _look_up_alternate(referring: _Referring, names: Names) -> None:
    name = referring.name(ALTERNATE_EXCHANGE)
    if name is not None:
        where = referring.place(ALTERNATE_EXCHANGE, ("alternate_exchange",), names)
        names.exchange(name, where, f"the alternate exchange {referring.whose}")


def _look_up_dead_letter(referring: _Referring, names: Names) -> None:
    name, key = referring.name(_DEAD_LETTER_EXCHANGE), referring.name(_DEAD_LETTER_KEY)
    if name is None:
        return
    where = referring.place(_DEAD_LETTER_EXCHANGE, ("dead_letter", "exchange"), names)
    exchange = names.exchange(name, where, f"the dead-letter exchange {referring.whose}")
    if exchange and not exchange.name and key is not None:  # the default exchange: a queue's name
        where = referring.place(_DEAD_LETTER_KEY, ("dead_letter", "routing_key"), names)
        names.queue(key, where, f"the dead-letter queue {referring.whose}")
