"""How long `routewright compile` takes for a large topology, and for one ten times as large."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from command_line import progress
from rich.console import Console
from rich.table import Table

SMALLER, LARGER = 1_000, 10_000  # queues; five bindings and two tasks for each
MOST_SECONDS, MOST_TIMES = 2.0, 13.0
STAGES = ("import", "read", "validate", "resolve", "check", "emit", "write")

_EXCHANGES = 10  # of each kind
_GROUP = 50  # queues that one worker group consumes
_COMMAND = "from routewright.compiler.cli import main; main()"


def topology(queues: int) -> str:
    """A topology of so many queues, with five bindings and two tasks for each, without errors.

    Three of five bindings have no task of their own, which is all the compiler has to say of it.

    Half of the queues are bound to direct exchanges, half to topic exchanges. Each of the latter
    has one pattern among its five keys, which makes one binding in ten.
    """
    lines = ["topology: large", "target: rabbitmq-3.10", "vhost: /", "", "exchanges:"]
    lines += [f"  direct{number}: {{type: direct}}" for number in range(_EXCHANGES)]
    lines += [f"  topic{number}: {{type: topic}}" for number in range(_EXCHANGES)]
    lines += ["  dead: {type: fanout}", "", "queues:", "  dead: {exchange: dead}"]
    for number in range(queues):
        lines += _queue(number)
    lines += ["", "tasks:"]
    for number in range(queues):
        exchange, service, pattern = _exchange(number), f"service{number}", _pattern(number)
        matched = pattern.replace("*", "any").replace("#", "one.two") if pattern else "created"
        for task, key in (("create", "created"), ("other", matched if pattern else "deleted")):
            lines.append(
                f"  {service}.{task}: {{exchange: {exchange}, routing_key: {service}.{key}, "
                f"priority: {number % 10}}}"
            )
    lines += ["", "workers:"]
    for first in range(0, queues, _GROUP):
        consumed = ", ".join(
            f"queue{number}" for number in range(first, min(first + _GROUP, queues))
        )
        lines.append(f"  group{first // _GROUP}: {{queues: [{consumed}], concurrency: 4}}")
    return "\n".join(lines) + "\n"


def _queue(number: int) -> Iterator[str]:
    exchange, service = _exchange(number), f"service{number}"
    yield f"  queue{number}:"
    yield "    dead_letter: {exchange: dead}"
    yield "    type: quorum" if number % 4 == 0 else "    max_priority: 9"
    if number % 4 == 1:
        yield "    message_ttl: 24h"
    yield "    bindings:"
    for key in ("created", "updated", "deleted", "archived", _pattern(number) or "restored"):
        yield f'      - {{exchange: {exchange}, binding_key: "{service}.{key}"}}'


def _exchange(number: int) -> str:
    kind = "topic" if number % 2 else "direct"
    return f"{kind}{number // 2 % _EXCHANGES}"


def _pattern(number: int) -> str | None:
    """What a queue of a topic exchange is bound with besides its plain keys."""
    patterns = ("*.failed", "eu.*.failed", "#.retried", "report.#.done", "eu.#")
    return patterns[number // 2 % len(patterns)] if number % 2 else None


class Run(NamedTuple):
    """One process: its time from beginning to end, its memory, and what the stages took."""

    seconds: float
    megabytes: float
    stages: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each size (5)")
    parser.add_argument("--stages-of", nargs=2, metavar=("FILE", "DIR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stages_of:
        print(json.dumps(_timed_stages(*options.stages_of)))
        return
    with tempfile.TemporaryDirectory() as folder:
        runs = _measure(Path(folder), options.runs)
    console = Console()
    console.print(_table(runs[SMALLER], runs[LARGER], options.runs))
    console.print(
        "The medians of fresh processes that write all files anew. The whole command is measured "
        "without a stopwatch inside; the stages are those of other runs, so that they do not add "
        "up to it. On a machine that others use, compare the ratios and not the seconds."
    )


def _measure(folder: Path, runs: int) -> dict[int, list[Run]]:
    measured: dict[int, list[Run]] = {SMALLER: [], LARGER: []}
    for queues in measured:
        (folder / f"{queues}.yaml").write_text(topology(queues))
    with progress(remaining=False) as bar:
        row = bar.add_task("Compiling", total=2 * runs)
        for number in range(runs):
            for queues, those in measured.items():  # in turns: what disturbs one disturbs the other
                those.append(_run(folder / f"{queues}.yaml", folder / f"{queues}-{number}"))
                bar.advance(row)
    return measured


def _run(file: Path, directory: Path) -> Run:
    seconds, megabytes, _ = _process("-c", _COMMAND, "compile", str(file), "-o", str(directory))
    timed = f"{directory}-timed"
    *_, output = _process(__file__, "--stages-of", str(file), timed)
    return Run(seconds, megabytes, json.loads(output))


def _process(*arguments: str) -> tuple[float, float, str]:
    """Seconds, megabytes and output of a Python of its own."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=output, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, arguments)
        output.seek(0)
        return seconds, usage.ru_maxrss / 1024, output.read()


def _timed_stages(file: str, directory: str) -> dict[str, float]:
    """What each stage takes, by a stopwatch around the pipeline's own functions."""
    began = time.perf_counter()
    from routewright.compiler import pipeline  # noqa: PLC0415  it is what is timed
    from routewright.compiler.emit import write  # noqa: PLC0415  it is what is timed
    from routewright.compiler.language import load  # noqa: PLC0415

    spent: defaultdict[str, float] = defaultdict(float)
    spent["import"] = time.perf_counter() - began
    for module, function, stage in (
        (pipeline, "decode", "decode"),
        (load, "read", "read"),
        (pipeline, "load", "load"),
        (pipeline, "resolve", "resolve"),
        (pipeline, "check", "check"),
        (pipeline, "emit", "emit"),
        (write, "write", "write"),
    ):
        timed: Callable[..., Any] = _timed(getattr(module, function), stage, spent)
        setattr(module, function, timed)
    compilation = pipeline.compile_bytes(file, Path(file).read_bytes())
    if not compilation.files:
        raise SystemExit(f"the topology is not sound: {compilation.diagnostics[0]}")
    write.write(Path(directory), compilation.files)
    spent["validate"] = spent["load"] - spent["read"]
    spent["read"] += spent["decode"]
    return {stage: spent[stage] for stage in STAGES}


def _timed(function: Callable[..., Any], stage: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            spent[stage] += time.perf_counter() - began

    return timed


def _table(smaller: list[Run], larger: list[Run], runs: int) -> Table:
    table = Table(title=f"routewright compile, medians of {runs} runs")
    for number, name in enumerate(("", _size(SMALLER), _size(LARGER), "ratio", "target")):
        table.add_column(name, justify="right" if number else "left")
    wholes = [median(run.seconds for run in those) for those in (smaller, larger)]
    target = f"{MOST_SECONDS:.0f} s, {MOST_TIMES:.0f} times"
    table.add_row("whole command, s", *_row(*wholes), target, style="bold", end_section=True)
    for stage in STAGES:
        times = [median(run.stages[stage] for run in those) for those in (smaller, larger)]
        table.add_row(f"{stage}, s", *_row(*times), "")
    table.add_section()
    memory = [median(run.megabytes for run in those) for those in (smaller, larger)]
    table.add_row("peak memory, MB", f"{memory[0]:.0f}", f"{memory[1]:.0f}", _ratio(*memory), "")
    return table


def _size(queues: int) -> str:
    return f"{queues:,} queues\n{5 * queues:,} bindings\n{2 * queues:,} tasks"


def _row(smaller: float, larger: float) -> tuple[str, str, str]:
    return f"{smaller:.3f}", f"{larger:.3f}", _ratio(smaller, larger)


def _ratio(smaller: float, larger: float) -> str:
    return f"{larger / smaller:.1f}" if smaller else ""


if __name__ == "__main__":
    main()
