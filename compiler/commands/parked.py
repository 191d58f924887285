"""`routewright parked`: what workers could not deal with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routewright.compiler.commands.files import compiled
from routewright.compiler.commands.terminal import WIDE, format_option, give_up

if TYPE_CHECKING:
    from routewright.runtime.parking.parked_message import ParkedMessage
    from routewright.runtime.parking.parked_queue import ParkedQueue

_COLUMNS = ("id", "task", "queue", "time", "reason")


@click.group("parked")
def parked_command() -> None:
    """Look at the messages that workers have parked, and requeue or drop them.

    A message is parked when no worker can deal with it: it cannot be read, is not accepted, names
    an unknown task, has used up its retries, or its processes died. Its queue is what `parking` of
    the topology names, or NAME.parked.

    \b
    Examples:
        routewright parked list
        routewright parked show 4f1c...
        routewright parked requeue 4f1c... 77ab...
        routewright parked drop --all
    """


def _where(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--queue", metavar="NAME", help="The queue, instead of the topology's."),
        click.option(
            "--broker",
            metavar="URL",
            envvar="ROUTEWRIGHT_BROKER",
            default="amqp://guest:guest@localhost:5672//",
            help="The broker; $ROUTEWRIGHT_BROKER unless it is given.",
        ),
        click.option(
            "--file",
            type=click.Path(path_type=Path),
            default="topology.yaml",
            show_default=True,
            help="The topology.",
        ),
    ):
        command = option(command)
    return command


def _which(command: Callable[..., None]) -> Callable[..., None]:
    every = click.option("--all", "every", is_flag=True, help="All of them.")
    return click.argument("ids", nargs=-1, metavar="[ID]...")(every(command))


@parked_command.command("list")
@_where
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@format_option
def list_command(file: Path, broker: str, queue: str | None, limit: int, form: str) -> None:
    """List the parked messages, the oldest first."""
    with _queue(file, broker, queue) as parked:
        count = parked.count()
        messages = parked.messages(limit) if count else []
    if form == "json":
        found = {"count": count, "messages": [it.as_dict() for it in messages]}
        click.echo(json.dumps(found, indent=2))
        return
    if messages:
        _print_table(messages)
    rest = f", of which {len(messages):,} are shown" if len(messages) < count else ""
    click.echo(f"{count:,} parked in {parked.queue}{rest}")


def _print_table(messages: list[ParkedMessage]) -> None:
    from rich.console import Console
    from rich.table import Table

    from routewright.compiler.reports.text import printable

    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for it in messages:
        row = it.as_dict()
        table.add_row(*(printable(row[column] or "") for column in _COLUMNS))
    Console(width=WIDE, highlight=False, markup=False).print(table)


@parked_command.command("show")
@click.argument("id_", metavar="ID")
@_where
@format_option
def show_command(id_: str, file: Path, broker: str, queue: str | None, form: str) -> None:
    """Show one parked message: why, its headers, its body."""
    with _queue(file, broker, queue) as parked:
        found = [it for it in parked.messages(parked.count()) if it.id == id_]
    if not found:
        give_up(f"no message {id_} is parked in {parked.queue}; see `routewright parked list`")
    wholes = [it.as_whole() for it in found]
    if form == "json":
        click.echo(json.dumps(wholes, indent=2))
        return
    from routewright.compiler.reports.text import printable

    for whole in wholes:
        for name, value in whole.items():
            if value not in (None, [], {}):
                text = value if isinstance(value, str) else json.dumps(value, indent=2)
                lines = [printable(line) for line in text.splitlines()] or [""]
                click.echo(f"{name}: " + "\n    ".join(lines))


@parked_command.command("requeue")
@_which
@click.option("--to", metavar="QUEUE", help="Where to, instead of where each came from.")
@_where
def requeue_command(
    ids: tuple[str, ...], every: bool, to: str | None, file: Path, broker: str, queue: str | None
) -> None:
    """Put parked messages back into their queues, to be tried afresh.

    Each is taken from here only when the broker has it there; a crash between leaves it in both,
    under its one id.
    """
    wanted = _wanted(ids, every)
    with _queue(file, broker, queue) as parked:
        _tell("requeued", parked.requeue(wanted, to), wanted, parked)


@parked_command.command("drop")
@_which
@_where
def drop_command(
    ids: tuple[str, ...], every: bool, file: Path, broker: str, queue: str | None
) -> None:
    """Throw parked messages away for good."""
    wanted = _wanted(ids, every)
    with _queue(file, broker, queue) as parked:
        _tell("dropped", parked.drop(wanted), wanted, parked)


def _wanted(ids: tuple[str, ...], every: bool) -> frozenset[str] | None:
    if every == bool(ids):
        raise click.UsageError("name the ids, or say --all")
    return None if every else frozenset(ids)


def _tell(
    done: str, messages: list[ParkedMessage], wanted: frozenset[str] | None, parked: ParkedQueue
) -> None:
    click.echo(f"{len(messages):,} {done}")
    missing = sorted((wanted or frozenset()) - {it.id for it in messages})
    if missing:
        give_up(f"not parked in {parked.queue}: {', '.join(missing)}")


@contextmanager
def _queue(file: Path, url: str, queue: str | None) -> Iterator[ParkedQueue]:
    """The queue for parking; what goes wrong with it is one line."""
    from routewright.runtime.errors import RoutewrightError
    from routewright.runtime.parking.parked_queue import ParkedQueue
    from routewright.runtime.transport.broker import Broker

    name = queue or _name_in(file)
    try:
        yield ParkedQueue(Broker(url), name)
    except RoutewrightError as error:
        give_up(str(error))


def _name_in(file: Path) -> str:
    topology: Any = compiled(file).topology
    if topology is None:
        give_up(f"{file} has errors; see `routewright check`, or name the queue with --queue")
    return topology.parking.name if topology.parking else f"{topology.name}.parked"
