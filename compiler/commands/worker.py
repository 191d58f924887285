"""`routewright worker`."""

from __future__ import annotations

import click

from routewright.compiler.commands.seconds import seconds_option
from routewright.compiler.commands.terminal import give_up


@click.command("worker")
@click.argument("app", metavar="MODULE:APP")
@click.option("--group", required=True, metavar="NAME", help="The worker group of the topology.")
@click.option("--processes", type=click.IntRange(1), help="How many, unlike the topology's.")
@click.option(
    "--concurrency", type=click.IntRange(1), help="Tasks of each process at a time, unlike its."
)
@click.option("--prefetch", type=click.IntRange(1), help="Messages held, unlike the topology's.")
@seconds_option(
    "--grace",
    default=30.0,
    least=0,
    help_="What running tasks get to finish when the worker is told to stop.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
)
def worker_command(
    app: str,
    group: str,
    processes: int | None,
    concurrency: int | None,
    prefetch: int | None,
    grace: float,
    log_level: str,
) -> None:
    """Run the tasks of one worker group until SIGTERM or Ctrl-C.

    The first signal lets running tasks finish and hands the rest back; a second one ends at once.

    \b
    Example:
        routewright worker shop.tasks:app --group powerful
    """
    from routewright.runtime.errors import RoutewrightError
    from routewright.runtime.worker.command import run_worker

    try:
        run_worker(
            app,
            group,
            processes=processes,
            concurrency=concurrency,
            prefetch=prefetch,
            grace=grace,
            log_level=log_level.upper(),
        )
    except RoutewrightError as error:
        give_up(str(error))
