"""Plants defects in sound topologies, and counts how many of each kind the compiler reports."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from planted.corpus import Mutant, mutants
from planted.sound import sound
from planted.verdict import alarms, is_found
from rich.console import Console
from rich.table import Table


@dataclass
class Tally:
    """Of one code: how many defects were planted, how many found, and what else was said."""

    planted: int = 0
    found: int = 0
    others: Counter[str] = field(default_factory=Counter)
    first_missed: Mutant | None = None


def main() -> int:
    began = time.perf_counter()
    tallies: dict[str, Tally] = {}
    for mutant in mutants():
        tally = tallies.setdefault(mutant.code, Tally())
        found, others = is_found(mutant)
        tally.planted += 1
        tally.found += found
        tally.others.update(others)
        if not found:
            tally.first_missed = tally.first_missed or mutant
    false = [alarm for base in sound() for alarm in alarms(base)]
    seconds = time.perf_counter() - began
    Console().print(_table(tallies, len(false), seconds))
    for alarm in false:
        print(f"a false alarm: {alarm}")
    missed = [tally.first_missed for tally in tallies.values() if tally.first_missed]
    for mutant in missed:
        print(
            f"missed: {mutant.code}, about {mutant.about}, by {mutant.planting}:\n{mutant.data.decode(errors='replace')}"
        )
    return 1 if missed or false else 0


def _table(tallies: dict[str, Tally], alarms: int, seconds: float) -> Table:
    planted = sum(it.planted for it in tallies.values())
    found = sum(it.found for it in tallies.values())
    table = Table(
        title=f"{planted} planted defects in {len(sound())} topologies, {seconds:.0f} s; "
        f"false alarms on the sound ones: {alarms}"
    )
    table.add_column("code")
    for name in ("planted", "found", "recall"):
        table.add_column(name, justify="right")
    table.add_column("other codes reported with it")
    for code, it in tallies.items():
        others = ", ".join(f"{name} {count}" for name, count in it.others.most_common(4))
        table.add_row(code, f"{it.planted}", f"{it.found}", _share(it.found, it.planted), others)
    table.add_section()
    table.add_row("all", f"{planted}", f"{found}", _share(found, planted), "", style="bold")
    return table


def _share(found: int, planted: int) -> str:
    return f"{100 * found / planted:.0f}%" if found == planted else f"{100 * found / planted:.1f}%"


if __name__ == "__main__":
    sys.exit(main())
