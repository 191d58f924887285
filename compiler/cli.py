"""The command line: `routewright` and its commands.

What a command needs is imported when it runs: starting a worker takes no pydantic and no PyYAML.
"""

from __future__ import annotations

import io
import sys

import click

from routewright import __version__
from routewright.compiler.commands.apply import apply_command
from routewright.compiler.commands.check import check_command
from routewright.compiler.commands.compile import compile_command
from routewright.compiler.commands.diff import diff_command
from routewright.compiler.commands.explain import explain_command
from routewright.compiler.commands.parked import parked_command
from routewright.compiler.commands.plan import plan_command
from routewright.compiler.commands.worker import worker_command
from routewright.compiler.garbage import collector_paused


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="routewright")
@click.pass_context
def main(context: click.Context) -> None:
    """Compile a declared message topology into a router that an application can trust.

    \b
    Start with a topology.yaml, then:
        routewright check                 what is wrong with it
        routewright compile --apply       generate the router, declare the broker's objects
        routewright plan                  what would change on the broker
        routewright worker app:app --group NAME
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a narrow encoding is no reason for a traceback
            stream.reconfigure(errors="backslashreplace")
    if context.invoked_subcommand not in ("worker", "parked"):  # which may run for long
        context.with_resource(collector_paused())


for command in (
    compile_command,
    check_command,
    explain_command,
    diff_command,
    plan_command,
    apply_command,
    worker_command,
    parked_command,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
