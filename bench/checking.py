"""How long `routewright check` takes for large topologies, and for ones made to be hard."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from command_line import progress
from rich.console import Console
from rich.table import Table

SMALLER, LARGER = 1_000, 10_000  # queues, with five bindings each
MOST_SECONDS, MOST_TIMES = 3.0, 13.0
HARD_SECONDS, HARD_MEGABYTES = 60, 2048  # what a hard topology may take

_EXCHANGES = 10
_GROUP = 50  # queues that one worker group consumes
_SHOWN = 12  # of the checks, those that take longest
_COMMAND = "from routewright.compiler.cli import main; main()"


def large(queues: int) -> Iterator[str]:
    """Five topic bindings and two tasks for each queue; one binding in ten has wildcards inside."""
    yield "topology: large\ntarget: rabbitmq-3.10\nexchanges:"
    yield from (f"  topic{number}: {{type: topic}}" for number in range(_EXCHANGES))
    yield "  dead: {type: fanout}\nqueues:\n  dead: {exchange: dead}"
    wild = ("*.failed", "eu.*.failed", "#.retried", "report.#.done")
    for number in range(queues):
        service, exchange = f"service{number}", f"topic{number % _EXCHANGES}"
        last = wild[number // 2 % len(wild)] if number % 2 else "restored"
        keys = ("created", "updated", "deleted", "archived", last)
        bindings = ", ".join(
            f'{{exchange: {exchange}, binding_key: "{service}.{key}"}}' for key in keys
        )
        yield f"  queue{number}: {{dead_letter: {{exchange: dead}}, bindings: [{bindings}]}}"
    yield "tasks:"
    for number in range(queues):
        exchange, service = f"topic{number % _EXCHANGES}", f"service{number}"
        last = wild[number // 2 % len(wild)] if number % 2 else "restored"
        key = last.replace("*", "any").replace("#", "one.two")
        yield (
            f"  {service}.change: {{exchange: {exchange}, routing_key: '{service}.{{what}}', "
            "parameters: {what: [created, updated, deleted, archived]}}"
        )
        yield f"  {service}.other: {{exchange: {exchange}, routing_key: {service}.{key}}}"
    yield "workers:"
    for first in range(0, queues, _GROUP):
        names = ", ".join(f"queue{it}" for it in range(first, min(first + _GROUP, queues)))
        yield f"  group{first}: {{queues: [{names}]}}"


def bound(patterns: list[str], *, queues: int = 0) -> Iterator[str]:
    """Queues bound to one topic exchange, a pattern each unless they are to be fewer."""
    number_of = queues or len(patterns)
    yield "topology: hard\nexchanges: {tasks: {type: topic}}\nqueues:"
    for number in range(number_of):
        keys = patterns[number::number_of]
        bindings = ", ".join(f'{{exchange: tasks, binding_key: "{key}"}}' for key in keys)
        yield f"  queue{number}: {{bindings: [{bindings}]}}"
    names = ", ".join(f"queue{number}" for number in range(number_of))
    yield "tasks: {one: {exchange: tasks, routing_key: a.x.q0}}"
    yield f"workers: {{all: {{queues: [{names}]}}}}"


def dying_into_one_another(queues: int) -> Iterator[str]:
    """Every queue's dead letters go to all of them: there are more rounds than can be told."""
    yield "topology: hard\nexchanges: {tasks: {type: topic}, dead: {type: fanout}}\nqueues:"
    for number in range(queues):
        yield (
            f"  queue{number}: {{bindings: [{{exchange: dead}}, {{exchange: tasks, binding_key: "
            f"key{number}}}], dead_letter: {{exchange: dead}}}}"
        )
    yield "tasks: {one: {exchange: tasks, routing_key: key0}}"


def many_exchanges(exchanges: int, patterns: list[str]) -> Iterator[str]:
    """Several exchanges with tasks, each with more classes of keys than are looked at."""
    yield "topology: hard\nexchanges:"
    yield from (f"  tasks{it}: {{type: topic}}" for it in range(exchanges))
    yield "queues:"
    for number in range(exchanges):
        bindings = ", ".join(
            f'{{exchange: tasks{number}, binding_key: "{key}"}}' for key in patterns
        )
        yield f"  queue{number}: {{bindings: [{bindings}]}}"
    yield "tasks:"
    yield from (f"  task{it}: {{exchange: tasks{it}, routing_key: w0}}" for it in range(exchanges))


HARD: dict[str, Callable[[], Iterator[str]]] = {
    "5,000 queues, `*.x.qN`": lambda: bound([f"*.x.q{it}" for it in range(5_000)]),
    "5,000 queues, `#.qN`": lambda: bound([f"#.q{it}" for it in range(5_000)]),
    "1,000 queues, `#.qN.#`": lambda: bound([f"#.q{it}.#" for it in range(1_000)]),
    "1,000 queues, `*.qN.#` and `#.qN.*`": lambda: bound(
        [key for it in range(500) for key in (f"*.q{it}.#", f"#.q{it}.*")]
    ),
    "24 queues, `#.qN.*.*...*` with 20 stars": lambda: bound(
        [f"#.q{it}.{'.'.join('*' * 20)}" for it in range(24)]
    ),
    "2,000 patterns `*.x.qN` of one queue": lambda: bound(
        [f"*.x.q{it}" for it in range(2_000)], queues=1
    ),
    "200 patterns `#.qN.#` of one queue": lambda: bound(
        [f"#.q{it}.#" for it in range(200)], queues=1
    ),
    "400 work queues, all `#`": lambda: bound(["#"] * 400),
    "10 exchanges, 40 patterns `#.wN.#` each": lambda: many_exchanges(
        10, [f"#.w{it}.#" for it in range(40)]
    ),
    "12 queues, dead letters to all of them": lambda: dying_into_one_another(12),
}


class Run(NamedTuple):
    """One process: how it ended, its seconds by the clock and at work, its memory, its text."""

    ended: str
    seconds: float
    worked: float
    megabytes: float
    output: str


def main() -> int:
    options = _options()
    if options.checks_of:
        print(json.dumps(_timed_checks(options.checks_of)))
        return 0
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        if not options.hard_only:
            console.print(_large_table(*_measure_large(Path(folder), options.runs), options.runs))
        ended = _measure_hard(Path(folder))
    console.print(_hard_table(ended))
    return 0 if all(run.ended in ("0", "1") for run in ended.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each size (3)")
    parser.add_argument("--hard-only", action="store_true", help="leave the large ones out")
    parser.add_argument("--checks-of", metavar="FILE", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure_large(
    folder: Path, runs: int
) -> tuple[dict[int, list[Run]], dict[int, dict[str, float]]]:
    wholes: dict[int, list[Run]] = {SMALLER: [], LARGER: []}
    checks: dict[int, dict[str, float]] = {}
    for queues in wholes:
        (folder / f"{queues}.yaml").write_text("\n".join(large(queues)))
    with progress(remaining=False) as bar:
        row = bar.add_task("Checking", total=2 * (runs + 1))
        for _ in range(runs):
            for queues, those in wholes.items():  # in turns: what disturbs one disturbs the other
                run = _process("-c", _COMMAND, "check", str(folder / f"{queues}.yaml"))
                if run.ended != "0":
                    raise SystemExit(f"{queues} queues: {run.ended} {run.output[:1000]}")
                those.append(run)
                bar.advance(row)
        for queues in wholes:
            run = _process(__file__, "--checks-of", str(folder / f"{queues}.yaml"))
            checks[queues] = json.loads(run.output)
            bar.advance(row)
    return wholes, checks


def _measure_hard(folder: Path) -> dict[str, Run]:
    ended: dict[str, Run] = {}
    with progress(remaining=False) as bar:
        for name, lines in bar.track(HARD.items(), description="Checking"):
            file = folder / "hard.yaml"
            file.write_text("\n".join(lines()))
            arguments = ("-c", _COMMAND, "check", str(file), "--format", "json")
            ended[name] = _process(*arguments, seconds=HARD_SECONDS, megabytes=HARD_MEGABYTES)
    return ended


def _process(*arguments: str, seconds: int = 3_600, megabytes: int = 16_384) -> Run:
    """A Python of its own, with limits to its time and its memory."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))

    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=output,
            stderr=errors,
            preexec_fn=limit,  # noqa: PLW1509  this program has one thread
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        ended = str(process.returncode)
        if process.returncode < 0:
            ended = f"not within {seconds} s"
        elif "MemoryError" in errors.read():
            ended = f"not within {megabytes} MB"
        worked = usage.ru_utime + usage.ru_stime
        return Run(ended, took, worked, usage.ru_maxrss / 1024, output.read())


def _timed_checks(file: str) -> dict[str, float]:
    """What each check takes, by a stopwatch around it."""
    from routewright.compiler import checks, pipeline  # noqa: PLC0415  it is part of the whole

    spent: dict[str, float] = {}

    def timed(check: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def run(*arguments: Any) -> Iterator[Any]:
            began = time.perf_counter()
            found = list(check(*arguments))
            spent[check.__name__] = time.perf_counter() - began
            return iter(found)

        return run

    checks.CHECKS = tuple(timed(check) for check in checks.CHECKS)
    checks.DEAD_LETTER_CHECKS = tuple(timed(check) for check in checks.DEAD_LETTER_CHECKS)
    checks.LOWERING_CHECKS = tuple(timed(check) for check in checks.LOWERING_CHECKS)
    began = time.perf_counter()
    compilation = pipeline.compile_bytes(file, Path(file).read_bytes())
    if compilation.diagnostics:
        raise SystemExit(f"the topology is not sound: {compilation.diagnostics[0]}")
    spent["all but checks"] = time.perf_counter() - began - sum(spent.values())
    return spent


def _large_table(
    wholes: dict[int, list[Run]], checks: dict[int, dict[str, float]], runs: int
) -> Table:
    table = Table(title=f"routewright check, medians of {runs} runs")
    for number, name in enumerate(("", f"{SMALLER:,} queues", f"{LARGER:,} queues", "ratio", "")):
        table.add_column(name, justify="right" if number in (1, 2, 3) else "left")
    times = [median(run.seconds for run in wholes[size]) for size in (SMALLER, LARGER)]
    target = f"at most {MOST_SECONDS:.0f} s and {MOST_TIMES:.0f} times"
    table.add_row("whole command, s", *_row(*times), target, style="bold")
    worked = [median(run.worked for run in wholes[size]) for size in (SMALLER, LARGER)]
    table.add_row("on the processor, s", *_row(*worked), "")
    memory = [median(run.megabytes for run in wholes[size]) for size in (SMALLER, LARGER)]
    row = (f"{memory[0]:.0f}", f"{memory[1]:.0f}", f"{memory[1] / memory[0]:.1f}")
    table.add_row("peak memory, MB", *row, "", end_section=True)
    slowest = sorted(checks[LARGER], key=lambda it: -checks[LARGER][it])
    for name in slowest[:_SHOWN]:
        table.add_row(f"{name}, s", *_row(checks[SMALLER][name], checks[LARGER][name]), "")
    return table


def _row(smaller: float, larger: float) -> tuple[str, str, str]:
    return f"{smaller:.3f}", f"{larger:.3f}", f"{larger / smaller:.1f}" if smaller else ""


def _hard_table(ended: dict[str, Run]) -> Table:
    table = Table(title=f"made to be hard; at most {HARD_SECONDS} s and {HARD_MEGABYTES} MB")
    table.add_column("topology")
    for name in ("s", "MB"):
        table.add_column(name, justify="right")
    table.add_column("exit")
    table.add_column("what is said")
    for name, run in ended.items():
        said: Counter[str] = Counter()
        if run.output.startswith("{"):
            said.update(it["code"] for it in json.loads(run.output)["diagnostics"])
        codes = ", ".join(f"{code} {count}" for code, count in said.most_common(3))
        table.add_row(name, f"{run.seconds:.1f}", f"{run.megabytes:.0f}", run.ended, codes)
    return table


if __name__ == "__main__":
    sys.exit(main())
