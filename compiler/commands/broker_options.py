"""Options of the commands that connect to a broker, and their values."""

from __future__ import annotations

from dataclasses import dataclass

import click

from routewright.compiler.commands.seconds import seconds_option

broker_option = click.option(
    "--broker",
    metavar="URL",
    envvar="ROUTEWRIGHT_BROKER",
    default="amqp://guest:guest@localhost:5672//",
    help="The broker; $ROUTEWRIGHT_BROKER, or guest on localhost, unless it is given.",
)

management_option = click.option(
    "--management",
    metavar="URL",
    envvar="ROUTEWRIGHT_MANAGEMENT",
    help="The broker's management API, perhaps with a user and a password of its own; "
    "$ROUTEWRIGHT_MANAGEMENT, or beside a broker on the standard port, unless it is given.",
)

timeout_option = seconds_option(
    "--timeout",
    default=10.0,
    least=0.1,
    help_="How long the broker may take to answer.",
)

wait_option = seconds_option(
    "--wait",
    default=60.0,
    least=0,
    help_="How long the consumers of a queue that is replaced have to leave it, each time.",
)


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """The broker's URL, that of its management API, and seconds to wait.

    `timeout` is for the broker's answers, `wait` for the consumers of what is replaced.
    """

    broker: str
    management: str | None
    timeout: float
    wait: float
