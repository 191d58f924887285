"""`routewright apply`."""

from __future__ import annotations

import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NoReturn

import click

from routewright.compiler.commands.broker_options import (
    BrokerOptions,
    broker_option,
    management_option,
    timeout_option,
    wait_option,
)
from routewright.compiler.commands.terminal import FINDINGS, FINE, give_up, print_lines
from routewright.compiler.plan.approvals import CODES

if TYPE_CHECKING:
    from routewright.compiler.executor.deploy import Deployed
    from routewright.compiler.plan.plan import Plan


_MOMENT = 1.0  # seconds of waiting that nobody is told of


@click.command("apply")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="PLAN")
@broker_option
@management_option
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(CODES),
    metavar="CODE",
    help=f"Leave for the steps of one code; may be repeated: {', '.join(CODES)}.",
)
@wait_option
@timeout_option
def apply_command(
    file: Path,
    broker: str,
    management: str | None,
    allow: tuple[str, ...],
    wait: float,
    timeout: float,
) -> None:
    """Carry out a plan that `routewright plan -o PLAN` wrote, on the broker it was made for.

    Nothing is done where the broker has changed since, or a step needs leave that is not given.

    \b
    Examples:
        routewright apply plan.json
        routewright apply plan.json --allow remove-queue --allow lose-keys
    """
    from routewright.compiler.plan.file import MalformedPlan, from_json

    try:
        plan = from_json(file.name, file.read_bytes())
    except MalformedPlan as error:
        give_up(str(error))
    except OSError as error:
        give_up(f"cannot read {file}: {error.strerror or error}")
    missing = [it for it in plan.codes if it not in allow]
    if missing:
        flags = " ".join(f"--allow {it}" for it in missing)
        click.echo(f"Nothing was changed: the plan needs {flags}.", err=True)
        sys.exit(FINDINGS)
    report_and_exit(execute_or_exit(plan, BrokerOptions(broker, management, timeout, wait)))


def execute_or_exit(plan: Plan, options: BrokerOptions) -> Deployed:
    """Carries out a plan over a session of its own; an error ends the command."""
    from routewright.compiler.broker.errors import BrokerError, Busy, Outdated, StillInUse
    from routewright.compiler.broker.open_session import open_session
    from routewright.compiler.commands.progress import progress

    looking = not plan.pending
    try:
        with (
            open_session(
                options.broker, options.timeout, options.management, plan.vhost, looking=looking
            ) as session,
            progress() as on_step,
        ):
            from routewright.compiler.executor.deploy import execute

            wait = options.wait
            return execute(plan, session, on_step, wait=wait, on_wait=_Notice(wait))
    except (Busy, Outdated, StillInUse) as error:
        print_lines(f"routewright: {error}", err=True)
        sys.exit(FINDINGS)
    except BrokerError as error:
        give_up(str(error))


class _Notice:
    """Says who is waited for: on a terminal whenever that changes, in a pipe once for a queue."""

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._said: set[tuple[str, ...]] = set()
        self._since: dict[str, float] = {}

    def __call__(self, queue: str, who: str) -> None:
        if monotonic() - self._since.setdefault(queue, monotonic()) < _MOMENT:
            return
        said = (queue, who) if sys.stderr.isatty() else (queue,)
        if said not in self._said:
            self._said.add(said)
            print_lines(f"queue `{queue}`: waiting up to {self._wait:g} s for {who}", err=True)


def report_and_exit(deployed: Deployed) -> NoReturn:
    """Says what was done, and exits with what is left."""
    from routewright.compiler.plan.text import summary

    plan = deployed.plan
    if plan.pending:
        click.echo(f"{summary(plan)}.")
    for line in deployed.differs:
        print_lines(f"differs afterwards: {line}", err=True)
    for step in plan.replacements:
        print_lines(f"not carried out: {step.change}: {step.why}", err=True)
    for name in plan.foreign:
        print_lines(f"not changed: {name} is otherwise than declared, and not owned", err=True)
    for line in plan.in_use:
        print_lines(line, err=True)
    left = plan.held or plan.replacements or plan.foreign or plan.in_use
    sys.exit(FINDINGS if deployed.differs or left else FINE)
