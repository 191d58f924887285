"""The command line: arguments, printing, exit codes.

0 is fine, 1 is findings or differences, 2 is a wrong use or an environment that will not do. What
the commands need is imported in them: starting a worker takes no pydantic and no PyYAML.
"""

from __future__ import annotations

import io
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from routewright import __version__

if TYPE_CHECKING:
    from routewright.compiler.pipeline import Compilation
    from routewright.compiler.topology import Topology

FINE, FINDINGS, TROUBLE = 0, 1, 2

_WIDE = 1000  # columns; a terminal wraps what does not fit, and nothing is cut off

_TOPOLOGY = click.Path(dir_okay=False, path_type=Path)
_file = click.argument("file", type=_TOPOLOGY, default=Path("topology.yaml"), metavar="[FILE]")
_broker = click.option(
    "--broker",
    metavar="URL",
    envvar="ROUTEWRIGHT_BROKER",
    default="amqp://guest:guest@localhost:5672//",
    help="The broker; $ROUTEWRIGHT_BROKER, or guest on localhost, unless it is given.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="routewright")
def main() -> None:
    """Compile a declared message topology into a router that an application can trust.

    \b
    Start with a topology.yaml, then:
        routewright check                 what is wrong with it
        routewright compile --apply       generate the router, declare the broker's objects
        routewright worker app:app --group NAME
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a narrow encoding is no reason for a traceback
            stream.reconfigure(errors="backslashreplace")


@main.command("compile")
@_file
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
@click.option("--apply", "also_apply", is_flag=True, help="Declare the topology on the broker.")
@_broker
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the broker may take to answer.",
)
def compile_command(
    file: Path,
    directory: Path | None,
    only_check: bool,
    also_apply: bool,
    broker: str,
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
    compilation = _compiled(file)
    _print_diagnostics(compilation)
    topology = compilation.topology
    if topology is None or not compilation.files:
        sys.exit(FINDINGS)
    target = directory or file.parent / f"{topology.name}_routing"
    if only_check:
        _compare(target, compilation)
    else:
        _write(target, compilation)
    if also_apply:
        _apply(topology, broker, timeout, target)


@main.command("check")
@_file
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif"]),
    default="text",
    show_default=True,
    help="For people, for programs, or for code-scanning services.",
)
@click.option("--app", metavar="MODULE:APP", help="Compare with the tasks of an application, too.")
@click.option("--strict", is_flag=True, help="Let warnings count as errors do.")
def check_command(file: Path, form: str, app: str | None, strict: bool) -> None:
    """Say everything that is wrong with a topology, and write nothing.

    \b
    Examples:
        routewright check
        routewright check shop.yaml --format sarif > shop.sarif
        routewright check --app shop.tasks:app
    """
    from routewright.compiler import report
    from routewright.compiler.diagnostics import has_errors
    from routewright.compiler.snippet import printable

    compilation = _compiled(file)
    if app is not None and compilation.topology is not None:
        compilation = _with_app(compilation, compilation.topology, app)
    found = compilation.diagnostics
    match form:
        case "json":
            click.echo(report.as_json(found))
        case "sarif":
            click.echo(report.as_sarif(found, __version__))
        case _:
            if found:
                click.echo(_text_of(compilation, sys.stdout.isatty()))
            click.echo(f"{printable(compilation.source.name)}: {report.summary(found)}")
    sys.exit(FINDINGS if has_errors(found) or (strict and found) else FINE)


@main.command("explain")
@click.argument("arguments", nargs=-1, required=True, metavar="[FILE] TASK|KEY")
@click.option("--exchange", metavar="NAME", help="Where a key is published.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
def explain_command(arguments: tuple[str, ...], exchange: str | None, form: str) -> None:
    """Show every hop of a message from its exchange to its queues, and why.

    TASK is a task of the topology, or a name that one of its patterns matches; anything else, and
    anything with --exchange, is a routing KEY.

    \b
    Examples:
        routewright explain media.CropImage
        routewright explain shop.yaml order.created --exchange orders
    """
    from routewright.compiler import explain
    from routewright.compiler.task_names import named, owner

    match arguments:
        case (name,):
            file = Path("topology.yaml")
        case (path, name):
            file = Path(path)
        case _:
            raise click.UsageError("at most a FILE and a TASK or KEY")
    compilation = _compiled(file)
    topology = compilation.topology
    if topology is None:
        _print_diagnostics(compilation)
        sys.exit(FINDINGS)
    task = None if exchange is not None else owner(topology.tasks, name)
    if task is not None:
        one = task if task.name == name else named(task, name)
        ways = explain.explain_task(topology, compilation.routing, one)
    else:
        where = _exchange_of(topology, name, exchange)
        ways = [explain.explain_key(topology, compilation.routing, where, name)]
    if form == "json":
        click.echo(explain.as_json(ways, topology))
    else:
        from rich.console import Console

        console = Console(width=_WIDE, highlight=False, markup=False)
        for way in ways:
            console.print(explain.as_tree(way, topology))
    sys.exit(FINE if all(way.delivery.queues for way in ways) else FINDINGS)


@main.command("diff")
@click.argument("old", type=_TOPOLOGY)
@click.argument("new", type=_TOPOLOGY)
@click.option("--vhost", help="The virtual host to read from definitions that have several.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for programs.",
)
def diff_command(old: Path, new: Path, vhost: str | None, form: str) -> None:
    """Show which keys go elsewhere in NEW than in OLD, or prove that none does.

    Either may be a topology file, a generated definitions.json, or one exported from a broker. Each
    class of keys is shown by its smallest. Exits with 1 if there is any.

    \b
    Examples:
        routewright diff deployed.yaml topology.yaml
        rabbitmqctl export_definitions live.json; routewright diff live.json topology.yaml
    """
    from routewright.compiler import compare

    comparison = compare.compare(_topology_of(old, vhost), _topology_of(new, vhost))
    click.echo(compare.as_json(comparison) if form == "json" else compare.as_text(comparison))
    sys.exit(FINE if comparison.equivalent else FINDINGS)


@main.command("worker")
@click.argument("app", metavar="MODULE:APP")
@click.option("--group", required=True, metavar="NAME", help="The worker group of the topology.")
@click.option(
    "--concurrency", type=click.IntRange(1), help="Tasks at a time, unlike the topology's."
)
@click.option("--prefetch", type=click.IntRange(1), help="Messages held, unlike the topology's.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="What running tasks get to finish when the worker is told to stop.",
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
    from routewright.runtime.command import run_worker
    from routewright.runtime.errors import RoutewrightError

    try:
        run_worker(
            app,
            group,
            concurrency=concurrency,
            prefetch=prefetch,
            grace=grace,
            log_level=log_level.upper(),
        )
    except RoutewrightError as error:
        _give_up(str(error))


def _compiled(file: Path) -> Compilation:
    from routewright.compiler import compile_file

    try:
        return compile_file(file)
    except OSError as error:
        _give_up(f"cannot read {file}: {error.strerror or error}")


def _topology_of(file: Path, vhost: str | None) -> Topology:
    """The topology in a file of ours or of RabbitMQ's."""
    from routewright.compiler.definitions import MalformedDefinitions, read_definitions

    if file.suffix == ".json":
        try:
            return read_definitions(str(file), file.read_bytes(), vhost)
        except MalformedDefinitions as error:
            _give_up(str(error))
        except OSError as error:
            _give_up(f"cannot read {file}: {error.strerror or error}")
    compilation = _compiled(file)
    if compilation.topology is None:
        _print_diagnostics(compilation)
        sys.exit(TROUBLE)
    return compilation.topology


def _exchange_of(topology: Topology, name: str, exchange: str | None) -> str:
    """Where a key is published: where it is said to be, or where every task is."""
    from routewright.compiler.diagnostics import did_you_mean

    if exchange is not None:
        if topology.exchange(exchange) is None:
            known = did_you_mean(exchange, topology.exchanges) or "see `exchanges` in the file"
            _give_up(f"there is no exchange `{exchange}`; {known}")
        return exchange
    published = {task.exchange.name for task in topology.tasks.values()}
    candidates = published or set(topology.exchanges)
    if len(candidates) != 1:
        way_out = "for a key, say with --exchange where it is published"
        _give_up(f"`{name}` is no task; {did_you_mean(name, topology.tasks) or way_out}")
    return candidates.pop()


def _with_app(compilation: Compilation, topology: Topology, app: str) -> Compilation:
    """A compilation with what does not agree with an application among its diagnostics."""
    from routewright.compiler.app_checks import check_app
    from routewright.compiler.diagnostics import in_file_order
    from routewright.runtime.command import load_app
    from routewright.runtime.errors import RoutewrightError

    try:
        loaded = load_app(app)
    except RoutewrightError as error:
        _give_up(str(error))
    found = check_app(topology, compilation.routing, loaded)
    return replace(compilation, diagnostics=in_file_order([*compilation.diagnostics, *found]))


def _print_diagnostics(compilation: Compilation) -> None:
    from routewright.compiler import report
    from routewright.compiler.snippet import printable

    if compilation.diagnostics:
        click.echo(_text_of(compilation, sys.stderr.isatty()), err=True)
        counts = report.summary(compilation.diagnostics)
        click.echo(f"{printable(compilation.source.name)}: {counts}", err=True)


def _text_of(compilation: Compilation, on_terminal: bool) -> str:
    from routewright.compiler import report

    colour = on_terminal and "NO_COLOR" not in os.environ
    return report.as_text(compilation.diagnostics, compilation.source, colour=colour)


def _write(directory: Path, compilation: Compilation) -> None:
    from routewright.compiler.snippet import printable
    from routewright.compiler.write import ForeignFile, write

    try:
        changed = write(directory, compilation.files)
    except ForeignFile as error:
        _give_up(f"{error}; choose another directory with -o")
    except OSError as error:
        _give_up(f"cannot write {directory}: {error.strerror or error}")
    what = f"{len(changed)} of {len(compilation.files)} files written" if changed else "up to date"
    click.echo(printable(f"{compilation.source.name}: {directory}: {what}"))


def _compare(directory: Path, compilation: Compilation) -> None:
    from routewright.compiler.snippet import printable
    from routewright.compiler.write import ForeignFile, differences

    try:
        stale = list(differences(directory, compilation.files))
    except ForeignFile as error:
        _give_up(str(error))
    except OSError as error:
        _give_up(f"cannot read {directory}: {error.strerror or error}")
    if stale:
        click.echo("".join(stale), nl=False)
        click.echo(f"{directory} is stale: run `routewright compile`", err=True)
        sys.exit(FINDINGS)
    click.echo(printable(f"{compilation.source.name}: {directory}: up to date"))


def _apply(topology: Topology, broker: str, timeout: float, directory: Path) -> None:
    from routewright.compiler.broker import BrokerError, ConflictsFound, apply_topology
    from routewright.compiler.progress import progress

    try:
        with progress() as on_step:
            applied = apply_topology(topology, broker, timeout, on_step)
    except ConflictsFound as error:
        for conflict in error.conflicts:
            click.echo(f"conflict: {conflict}", err=True)
        click.echo(
            "The broker was not changed. It names one argument of an object; there may be more.",
            err=True,
        )
        sys.exit(FINDINGS)
    except BrokerError as error:
        _give_up(str(error))
    text = str(applied)
    click.echo(f"{text[0].upper()}{text[1:]}.")
    if topology.policies:
        listed = ", ".join(f"`{name}`" for name in topology.policies)
        click.echo(
            f"Not set, for AMQP cannot: policy {listed}. `rabbitmqctl import_definitions "
            f"{directory / 'definitions.json'}` sets what that file declares.",
            err=True,
        )


def _give_up(message: str) -> NoReturn:
    from routewright.compiler.snippet import printable

    click.echo(printable(f"routewright: {message}"), err=True)
    sys.exit(TROUBLE)


if __name__ == "__main__":
    main()
