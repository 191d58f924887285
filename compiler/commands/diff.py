"""`routewright diff`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routewright.compiler.commands.files import PATH, compiled
from routewright.compiler.commands.terminal import (
    FINDINGS,
    FINE,
    TROUBLE,
    format_option,
    give_up,
    print_diagnostics,
)

if TYPE_CHECKING:
    from routewright.compiler.model.topology import Topology


@click.command("diff")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.option("--vhost", help="The virtual host to read from definitions that have several.")
@format_option
def diff_command(old: Path, new: Path, vhost: str | None, form: str) -> None:
    """Show which keys go elsewhere in NEW than in OLD, or prove that none does.

    Either may be a topology file, a generated definitions.json, or one exported from a broker. Each
    class of keys is shown by its smallest, and so are dead letters that go elsewhere. Exits with 1
    if there is any.

    \b
    Examples:
        routewright diff deployed.yaml topology.yaml
        rabbitmqctl export_definitions live.json; routewright diff live.json topology.yaml
    """
    from routewright.compiler.analysis import compare

    comparison = compare.compare(_topology_of(old, vhost), _topology_of(new, vhost))
    click.echo(compare.as_json(comparison) if form == "json" else compare.as_text(comparison))
    sys.exit(FINE if comparison.equivalent else FINDINGS)


def _topology_of(file: Path, vhost: str | None) -> Topology:
    """The topology in a file of ours or of RabbitMQ's."""
    from routewright.compiler.definitions.file import MalformedDefinitions, read_definitions
    from routewright.compiler.lowering.delays import without_delays

    if file.suffix == ".json":
        try:
            return without_delays(read_definitions(str(file), file.read_bytes(), vhost))
        except MalformedDefinitions as error:
            give_up(str(error))
        except OSError as error:
            give_up(f"cannot read {file}: {error.strerror or error}")
    compilation = compiled(file)
    if compilation.topology is None:
        print_diagnostics(compilation)
        sys.exit(TROUBLE)
    return compilation.topology
