"""`routewright plan`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from routewright.compiler.commands.broker_options import (
    broker_option,
    management_option,
    timeout_option,
)
from routewright.compiler.commands.files import compiled, file_argument
from routewright.compiler.commands.terminal import (
    FINDINGS,
    FINE,
    format_option,
    give_up,
    print_diagnostics,
    print_lines,
)


@click.command("plan")
@file_argument
@broker_option
@management_option
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PLAN",
    help="Write the plan to a file for `routewright apply`; it holds no credentials.",
)
@format_option
@click.option("--exit-code", is_flag=True, help="Exit 1 if there is anything to do, as cron wants.")
@click.option("--adopt", is_flag=True, help="Take over what is there under a declared name.")
@timeout_option
def plan_command(
    file: Path,
    broker: str,
    management: str | None,
    output: Path | None,
    form: str,
    exit_code: bool,
    adopt: bool,
    timeout: float,
) -> None:
    """Show what would make a broker match a topology: every step, why, and what it could destroy.

    Nothing is changed. Exits with 1 where something is left that no step does without harm.

    \b
    Examples:
        routewright plan
        routewright plan shop.yaml --broker amqp://ops:...@rabbit.example//shop -o plan.json
        routewright plan --exit-code        for cron: has the broker drifted?
    """
    from routewright.compiler.broker.errors import BrokerError
    from routewright.compiler.broker.open_session import open_session
    from routewright.compiler.commands.progress import progress
    from routewright.compiler.diagnostics.diagnostic import has_errors
    from routewright.compiler.executor.deploy import plan_for
    from routewright.compiler.plan.file import to_json
    from routewright.compiler.plan.text import as_text

    compilation = compiled(file)
    if compilation.lowered is None or has_errors(compilation.diagnostics):
        print_diagnostics(compilation)
        sys.exit(FINDINGS)
    topology = compilation.on_broker
    try:
        with (
            open_session(broker, timeout, management, topology.vhost, looking=True) as session,
            progress() as on_step,
        ):
            plan = plan_for(topology, session, adopt=adopt, on_step=on_step)
    except BrokerError as error:
        give_up(str(error))
    if output:
        try:
            output.write_text(to_json(plan) + "\n", encoding="utf-8")
        except OSError as error:
            give_up(f"cannot write {output}: {error.strerror or error}")
    print_lines(to_json(plan) if form == "json" else as_text(plan))
    sys.exit(FINDINGS if plan.obstacles or (exit_code and plan.changing) else FINE)
