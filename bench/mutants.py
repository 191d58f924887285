"""Compiles damaged topologies by the hundred thousand, and counts what comes of them."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from random import Random

import tests_path  # noqa: F401  puts what tests share on the path
from command_line import numbers, progress
from mutation import SOUND, examined, mutant
from rich.console import Console
from rich.table import Table

_BATCH = 250
_SECONDS = 20  # what one small file may take before it counts as one that never ends
_MEMORY = 2 * 2**30


@dataclass(order=True)
class Failure:
    """A mutant that ended in a traceback."""

    number: int
    data: bytes
    trace: str
    place: str


@dataclass
class Tally:
    """What became of some mutants."""

    compiled: int = 0
    refused: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def mutants(self) -> int:
        return self.compiled + self.refused + len(self.failures)

    def add(self, other: Tally) -> None:
        self.compiled += other.compiled
        self.refused += other.refused
        self.codes.update(other.codes)
        self.failures += other.failures


def tally(seed: int, numbers: range) -> Tally:
    """Compile the mutants of these numbers; each depends on nothing but the seed and its number."""
    sound = [path.read_bytes() for path in SOUND]
    result = Tally()
    for number in numbers:
        data = mutant(sound, Random(f"{seed}/{number}"))
        signal.alarm(_SECONDS)
        try:
            compilation = examined(data)
        except Exception as error:  # noqa: BLE001  whatever it is, it is what is looked for
            result.failures.append(Failure(number, data, traceback.format_exc(), _place(error)))
            continue
        finally:
            signal.alarm(0)
        result.codes.update({found.code for found in compilation.diagnostics})
        if compilation.files:
            result.compiled += 1
        else:
            result.refused += 1
    return result


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}"  # noqa: PTH119


def main() -> int:
    options = _options()
    console = Console()
    began = time.perf_counter()
    total = Tally()
    for part in _in_processes(options.seed, options.first, options.count, options.processes):
        total.add(part)
    seconds = time.perf_counter() - began
    console.print(_table(total, seconds, options))
    if not total.failures:
        return 0
    first = min(total.failures)
    print(f"The first that ended in a traceback is mutant {first.number} of seed {options.seed}:")
    print(f"    python bench/mutants.py --seed {options.seed} --first {first.number} --count 1\n")
    print(repr(first.data))
    print(first.trace)
    return 1


def _options() -> argparse.Namespace:
    return numbers(
        __doc__,
        count=(100_000, "how many mutants"),
        first=(0, "the number of the first one"),
        processes=(os.cpu_count() or 1, "how many compile at a time"),
    )


def _in_processes(seed: int, first: int, count: int, processes: int) -> Iterator[Tally]:
    batches = [
        range(start, min(start + _BATCH, first + count))
        for start in range(first, first + count, _BATCH)
    ]
    with (
        ProcessPoolExecutor(processes, initializer=_bound) as pool,
        progress() as bar,
    ):
        row = bar.add_task("Compiling", total=count)
        waiting: list[Future[Tally]] = [pool.submit(tally, seed, batch) for batch in batches]
        for future in as_completed(waiting):
            part = future.result()
            bar.advance(row, part.mutants)
            yield part


def _bound() -> None:
    """A mutant that would fill the machine, or never end, fails by itself."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, _too_slow)


def _too_slow(_number: int, _frame: object) -> None:
    raise TimeoutError(f"not done after {_SECONDS} seconds")


def _table(total: Tally, seconds: float, options: argparse.Namespace) -> Table:
    table = Table(
        "", "mutants", title=f"Mutants of {len(SOUND)} sound topologies, seed {options.seed}"
    )
    table.columns[1].justify = "right"
    rows = {
        "all": total.mutants,
        "compiled": total.compiled,
        "refused with diagnostics": total.refused,
        "ended in a traceback": len(total.failures),
    }
    for name, count in rows.items():
        table.add_row(name, f"{count:,}")
    table.add_row(f"a second, in {options.processes} processes", f"{total.mutants / seconds:,.0f}")
    table.add_section()
    for place, count in Counter(failure.place for failure in total.failures).most_common():
        table.add_row(f"[red]{place}[/]", f"{count:,}")
    table.add_section()
    for code, count in total.codes.most_common():
        table.add_row(code, f"{count:,}")
    return table


if __name__ == "__main__":
    sys.exit(main())
