"""`routewright compile`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from routewright.compiler.commands.broker_options import (
    BrokerOptions,
    broker_option,
    management_option,
    timeout_option,
    wait_option,
)
from routewright.compiler.commands.files import compiled, file_argument
from routewright.compiler.commands.terminal import (
    FINDINGS,
    give_up,
    print_diagnostics,
    print_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from routewright.compiler.model.topology import Topology
    from routewright.compiler.pipeline import Compilation
    from routewright.compiler.plan.plan import Plan


@click.command("compile")
@file_argument
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the generated package goes; NAME_routing beside FILE unless it is given.",
)
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Write nothing; exit 1 with a diff if files are stale.",
)
@click.option(
    "--apply",
    "also_apply",
    is_flag=True,
    help="Make the broker match, as far as that takes nothing away.",
)
@broker_option
@management_option
@wait_option
@timeout_option
def compile_command(
    file: Path,
    directory: Path | None,
    only_check: bool,
    also_apply: bool,
    broker: str,
    management: str | None,
    wait: float,
    timeout: float,
) -> None:
    """Validate a topology, generate its router package, and declare it on a broker.

    \b
    Examples:
        routewright compile
        routewright compile shop.yaml -o src/shop_routing --apply
        routewright compile --check          for CI: are the generated files those of FILE?
    """
    if only_check and also_apply:
        raise click.UsageError("--check writes nothing and --apply does: choose one of them")
    compilation = compiled(file)
    print_diagnostics(compilation)
    if not compilation.files:
        sys.exit(FINDINGS)
    topology = compilation.on_broker
    target = directory or file.parent / f"{topology.name}_routing"
    if only_check:
        _compare(target, compilation)
    elif not also_apply:
        _write(target, compilation)
    else:
        options = BrokerOptions(broker, management, timeout, wait)
        planned = _plan(topology, options)  # the files are generated while the broker answers
        _write(target, compilation)
        _apply(planned, topology, options, target)


def _write(directory: Path, compilation: Compilation) -> None:
    from routewright.compiler.emit.write import ForeignFile, write
    from routewright.compiler.reports.text import printable

    try:
        changed = write(directory, compilation.files)
    except ForeignFile as error:
        give_up(f"{error}; choose another directory with -o")
    except OSError as error:
        give_up(f"cannot write {directory}: {error.strerror or error}")
    what = f"{len(changed)} of {len(compilation.files)} files written" if changed else "up to date"
    click.echo(printable(f"{compilation.source.name}: {directory}: {what}"))


def _compare(directory: Path, compilation: Compilation) -> None:
    from routewright.compiler.emit.write import ForeignFile, differences
    from routewright.compiler.reports.text import printable

    try:
        stale = list(differences(directory, compilation.files))
    except ForeignFile as error:
        give_up(str(error))
    except OSError as error:
        give_up(f"cannot read {directory}: {error.strerror or error}")
    if stale:
        click.echo("".join(stale), nl=False)
        click.echo(f"{directory} is stale: run `routewright compile`", err=True)
        sys.exit(FINDINGS)
    click.echo(printable(f"{compilation.source.name}: {directory}: up to date"))


def _plan(topology: Topology, options: BrokerOptions) -> Callable[[], Plan | None]:
    """Starts to plan in the background; the plan is None where there is no management API."""
    from routewright.compiler.broker.connect import speaks_amqp
    from routewright.compiler.broker.open_session import open_session
    from routewright.compiler.executor.deploy import plan_for
    from routewright.runtime.connect.background import in_background

    def plan() -> Plan | None:
        if not speaks_amqp(options.broker):
            return None
        with open_session(
            options.broker, options.timeout, options.management, topology.vhost, looking=True
        ) as session:
            return plan_for(topology, session, allowed=()) if session.api is not None else None

    return in_background(plan).result


def _apply(
    planned: Callable[[], Plan | None], topology: Topology, options: BrokerOptions, directory: Path
) -> None:
    """Make the broker match by a plan, or over AMQP alone where it has no management API."""
    from routewright.compiler.broker.errors import BrokerError

    try:
        plan = planned()
    except BrokerError as error:
        give_up(str(error))
    if plan is None:
        _declare(topology, options, directory)
    else:
        _execute(plan, options)


def _execute(plan: Plan, options: BrokerOptions) -> NoReturn:
    from routewright.compiler.commands.apply import execute_or_exit, report_and_exit
    from routewright.compiler.executor.deploy import Deployed
    from routewright.compiler.plan.text import as_text

    print_lines(as_text(plan))
    if plan.violations:
        click.echo("Nothing was changed. `routewright plan` and `apply` can do it.", err=True)
        sys.exit(FINDINGS)
    deployed = execute_or_exit(plan, options) if plan.pending else Deployed(plan)
    if plan.held:
        click.echo(
            "What needs leave was left out: `routewright plan -o plan.json` writes all of it down, "
            "and `routewright apply plan.json --allow CODE` carries it out.",
            err=True,
        )
    report_and_exit(deployed)


def _declare(topology: Topology, options: BrokerOptions, directory: Path) -> None:
    from routewright.compiler.broker.errors import BrokerError, ConflictsFound
    from routewright.compiler.commands.progress import progress
    from routewright.compiler.executor.over_amqp import apply_topology

    try:
        with progress() as on_step:
            applied = apply_topology(topology, options.broker, options.timeout, on_step)
    except ConflictsFound as error:
        for conflict in error.conflicts:
            click.echo(f"conflict: {conflict}", err=True)
        click.echo(
            "The broker was not changed. It names one argument of an object; there may be more.",
            err=True,
        )
        sys.exit(FINDINGS)
    except BrokerError as error:
        give_up(str(error))
    text = str(applied)
    click.echo(f"{text[0].upper()}{text[1:]}.")
    if topology.policies:
        listed = ", ".join(f"`{name}`" for name in topology.policies)
        click.echo(
            f"Not set, for AMQP cannot: policy {listed}. `rabbitmqctl import_definitions "
            f"{directory / 'definitions.json'}` sets what that file declares.",
            err=True,
        )
