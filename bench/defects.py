"""Plants defects in sound topologies, and counts how many of each kind the compiler reports."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import tests_path  # noqa: F401  puts what tests share on the path
from command_line import numbers
from planted.corpus import Mutant, mutants, some_planted_in
from planted.random_sound import random_sound
from planted.sound import Sound, sound
from planted.verdict import alarms, verdict
from rich.console import Console
from rich.table import Table

from routewright.compiler.reports.explanations import CODES


@dataclass
class Tally:
    """Of one code: how many defects were planted, how many found, and what else was said."""

    planted: int = 0
    found: int = 0
    keys: int = 0  # shown by diagnostics of the code, and looked at by brute force
    wrong_keys: int = 0
    others: Counter[str] = field(default_factory=Counter)
    missed: Mutant | None = None


def tallied(some: Iterator[Mutant]) -> dict[str, Tally]:
    """What came of mutants, by code, in the order of the stages; all that were planted in."""
    tallies = {code: Tally() for code in CODES}
    for mutant in some:
        what = verdict(mutant)
        tally = tallies[mutant.code]
        tally.planted += 1
        tally.found += what.is_found
        tally.others.update(what.others)
        if not what.is_found:
            tally.missed = tally.missed or mutant
        for code, is_so in what.keys:
            tallies[code].keys += 1
            tallies[code].wrong_keys += not is_so
    return tallies


def main() -> int:
    options = _options()
    began = time.perf_counter()
    drawn = [random_sound(options.seed, number) for number in range(options.topologies)]
    written = tallied(mutants())
    random = tallied(_in_random(drawn, options))
    false = [alarm for base in (*sound(), *drawn) for alarm in alarms(base)]
    seconds = time.perf_counter() - began
    print(
        f"False alarms on {len(sound())} written and {len(drawn)} random topologies: {len(false)}"
    )
    print("\n".join(false))
    Console().print(_table(written, "in topologies that somebody wrote"))
    Console().print(_table(random, f"in {len(drawn)} random topologies, seed {options.seed}"))
    print(f"{seconds:.0f} s")
    every = [*written.values(), *random.values()]
    for mutant in (it.missed for it in every if it.missed):
        print(f"missed: {mutant.code}, about {mutant.about}, by {mutant.planting}:")
        print(mutant.data.decode(errors="replace"))
    return 1 if false or any(it.missed or it.wrong_keys for it in every) else 0


def _options() -> argparse.Namespace:
    return numbers(__doc__, topologies=(80, "how many random ones"), each=(10, "mutants of each"))


def _in_random(drawn: list[Sound], options: argparse.Namespace) -> Iterator[Mutant]:
    for base in drawn:
        yield from some_planted_in(base, options.each, Random(f"{options.seed}/{base.name}"))


def _table(tallies: dict[str, Tally], where: str) -> Table:
    planted = sum(it.planted for it in tallies.values())
    found = sum(it.found for it in tallies.values())
    table = Table(title=f"{planted} defects planted {where}")
    table.add_column("code", no_wrap=True)
    for name in ("planted", "found", "recall", "keys shown", "of them wrong"):
        table.add_column(name, justify="right")
    table.add_column("other codes reported with it")
    for code, it in tallies.items():
        others = ", ".join(f"{name} {count}" for name, count in it.others.most_common(3))
        share = _share(it.found, it.planted)
        keys = (f"{it.keys}", f"{it.wrong_keys}") if it.keys else ("", "")
        if it.planted or it.keys:
            table.add_row(code, f"{it.planted}", f"{it.found}", share, *keys, others)
    table.add_section()
    shown = sum(it.keys for it in tallies.values())
    wrong = sum(it.wrong_keys for it in tallies.values())
    row = (f"{planted}", f"{found}", _share(found, planted), f"{shown}", f"{wrong}")
    table.add_row("all", *row, "", style="bold")
    return table


def _share(found: int, planted: int) -> str:
    if not planted:
        return ""
    return f"{100 * found / planted:.0f}%" if found == planted else f"{100 * found / planted:.1f}%"


if __name__ == "__main__":
    sys.exit(main())
