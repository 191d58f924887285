"""What the compiler says of a queue's arguments is what RabbitMQ does with them."""

from __future__ import annotations

import pytest
from amqp.exceptions import AMQPError
from kombu.connection import Connection
from private_nodes import Broker

from routewright.compiler import compile_text
from routewright.compiler.model.topology import Argument, Arguments
from routewright.compiler.rabbitmq.queue_arguments import QUEUE_ARGUMENTS, QUEUE_TYPES, ArgumentRule
from routewright.compiler.resolver.broker_objects import ARGUMENT_OPTIONS

# The broker takes any value of this one and fails when it uses it.
UNCHECKED = {"x-delivery-limit"}
NEEDS = {"x-dead-letter-routing-key": {"x-dead-letter-exchange": "somewhere"}}


def good(argument: str, rule: ArgumentRule) -> Argument:
    if argument == "x-max-age":
        return "7D"
    if argument == "x-stream-max-segment-size-bytes":
        return 1_000_000
    match rule.kind:
        case "integer":
            return min(rule.least + 1, rule.most)
        case "text":
            return rule.choices[0] if rule.choices else "somewhere"
        case _:
            return True


def bad(argument: str, rule: ArgumentRule) -> list[Argument]:
    match rule.kind:
        case "integer":
            return ["1", rule.least - 1, *([rule.most + 1] if rule.most < 2**63 - 1 else [])]
        case "text":
            return [7, *(["nonsense"] if rule.choices or argument == "x-max-age" else [])]
        case _:
            return ["true"]


def accepted(broker: Broker, queue_type: str, arguments: Arguments) -> bool:
    """Whether a queue of this type can be declared with these arguments."""
    with Connection(broker.url) as connection:
        channel = connection.channel()
        try:
            name = channel.queue_declare(
                "probe",
                durable=True,
                auto_delete=False,
                arguments={"x-queue-type": queue_type, **arguments},
            ).queue
            channel.queue_delete(name)
        except (AMQPError, OSError):
            return False
        return True


def reported(queue_type: str, arguments: Arguments) -> set[str]:
    options = "".join(f"      {name}: {value!r}\n" for name, value in arguments.items())
    text = f"""
topology: t
exchanges: {{somewhere: {{}}, nonsense: {{}}}}
queues:
  probe:
    type: {queue_type}
    arguments:
{options}"""
    return {found.code for found in compile_text(text.replace("True", "true")).diagnostics}


@pytest.mark.broker
@pytest.mark.parametrize("argument", sorted(set(QUEUE_ARGUMENTS) - {"x-queue-type"}))
def test_an_argument_is_taken_by_the_queues_that_the_table_names(
    broker: Broker, argument: str
) -> None:
    rule = QUEUE_ARGUMENTS[argument]
    for queue_type in QUEUE_TYPES:
        arguments = {argument: good(argument, rule), **NEEDS.get(argument, {})}
        assert accepted(broker, queue_type, arguments) == (queue_type in rule.queue_types)
        codes = reported(queue_type, arguments)
        assert ("unsupported-by-queue-type" in codes) == (queue_type not in rule.queue_types)


@pytest.mark.broker
@pytest.mark.parametrize("argument", sorted(set(QUEUE_ARGUMENTS) - UNCHECKED - {"x-queue-type"}))
def test_a_value_that_the_broker_refuses_is_reported(broker: Broker, argument: str) -> None:
    rule = QUEUE_ARGUMENTS[argument]
    queue_type = rule.queue_types[0]
    for value in bad(argument, rule):
        arguments = {argument: value, **NEEDS.get(argument, {})}
        wrong = {"wrong-argument-type", "wrong-argument-value"}
        assert reported(queue_type, arguments) & wrong, value
        stored = argument == "x-stream-max-segment-size-bytes" and value in (0, rule.most + 1)
        assert stored or not accepted(broker, queue_type, arguments), value


def test_every_option_that_becomes_an_argument_is_in_the_table() -> None:
    options = {f"x-{option.replace('_', '-')}" for option in ARGUMENT_OPTIONS}
    assert options <= set(QUEUE_ARGUMENTS)


@pytest.mark.broker
@pytest.mark.parametrize("queue_type", QUEUE_TYPES)
@pytest.mark.parametrize("flags", [{"durable": False}, {"auto_delete": True}])
def test_a_flag_is_refused_by_the_broker_where_it_is_reported(
    broker: Broker, queue_type: str, flags: dict[str, bool]
) -> None:
    written = ", ".join(f"{name}: {str(value).lower()}" for name, value in flags.items())
    text = f"topology: t\nqueues: {{probe: {{type: {queue_type}, {written}}}}}"
    with Connection(broker.url) as connection:
        try:
            connection.channel().queue_declare(
                "probe",
                arguments={"x-queue-type": queue_type},
                **{"durable": True, "auto_delete": False, **flags},
            )
            refused = False
        except AMQPError:
            refused = True
    assert refused == bool(compile_text(text).diagnostics)
