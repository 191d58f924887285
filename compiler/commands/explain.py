"""`routewright explain`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routewright.compiler.commands.files import compiled
from routewright.compiler.commands.terminal import (
    FINDINGS,
    FINE,
    WIDE,
    format_option,
    give_up,
    print_diagnostics,
)

if TYPE_CHECKING:
    from routewright.compiler.language.scalars import Scalar
    from routewright.compiler.model.topology import Topology


@click.command("explain")
@click.argument("arguments", nargs=-1, required=True, metavar="[FILE] TASK|KEY")
@click.option("--exchange", metavar="NAME", help="Where a key is published.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="A header that a message with the KEY has, for exchanges that look at headers; may be "
    "given several times. The value is read as in YAML.",
)
@format_option
def explain_command(
    arguments: tuple[str, ...], exchange: str | None, headers: tuple[str, ...], form: str
) -> None:
    """Show every hop of a message from its exchange to its queues, and why.

    TASK is a task of the topology, or a name that one of its patterns matches; anything else, and
    anything with --exchange, is a routing KEY.

    \b
    Examples:
        routewright explain media.CropImage
        routewright explain shop.yaml order.created --exchange orders
        routewright explain "" --exchange by_region --header region=eu --header weight=3
    """
    from routewright.compiler.analysis import explain
    from routewright.compiler.model.task_names import named, owner

    match arguments:
        case (name,):
            file = Path("topology.yaml")
        case (path, name):
            file = Path(path)
        case _:
            raise click.UsageError("at most a FILE and a TASK or KEY")
    compilation = compiled(file)
    topology = compilation.topology
    if topology is None:
        print_diagnostics(compilation)
        sys.exit(FINDINGS)
    task = None if exchange is not None else owner(topology.tasks, name)
    if task is not None and headers:
        raise click.UsageError("a task has the headers that the topology says; say --exchange too")
    if task is not None:
        one = task if task.name == name else named(task, name)
        ways = explain.explain_task(topology, compilation.routing, one)
    else:
        where = _exchange_of(topology, name, exchange)
        given = dict(map(_header, headers))
        ways = [explain.explain_key(topology, compilation.routing, where, name, given)]
    if form == "json":
        click.echo(explain.as_json(ways, topology))
    else:
        from rich.console import Console

        console = Console(width=WIDE, highlight=False, markup=False)
        for way in ways:
            console.print(explain.as_tree(way, topology))
    sys.exit(FINE if all(way.delivery.queues for way in ways) else FINDINGS)


def _header(text: str) -> tuple[str, Scalar]:
    """Splits `NAME=VALUE`, and reads the value as YAML does."""
    from routewright.compiler.language.yaml_text import read_scalar

    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"`{text}` is no header; write NAME=VALUE")
    return name, read_scalar(value)


def _exchange_of(topology: Topology, name: str, exchange: str | None) -> str:
    """Where a key is published: where it is said to be, or where every task is."""
    from routewright.compiler.diagnostics.diagnostic import did_you_mean

    if exchange is not None:
        if topology.exchange(exchange) is None:
            known = did_you_mean(exchange, topology.exchanges) or "see `exchanges` in the file"
            give_up(f"there is no exchange `{exchange}`; {known}")
        return exchange
    published = {task.exchange.name for task in topology.tasks.values()}
    candidates = published or set(topology.exchanges)
    if len(candidates) != 1:
        way_out = "for a key, say with --exchange where it is published"
        give_up(f"`{name}` is no task; {did_you_mean(name, topology.tasks) or way_out}")
    return candidates.pop()
