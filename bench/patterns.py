"""Asks the compiler about topic patterns and keys, and a slow, independent program the same."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from random import Random
from typing import TypeVar

import tests_path  # noqa: F401  puts what tests share on the path
from brute_force import BruteForce, expression, spelt_out
from command_line import numbers, progress
from random_topologies import random_message, random_topology
from rich.console import Console
from rich.table import Table

from routewright.compiler.keys.patterns import covers, exactly, intersects, topic, witness
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.routing import Routing

_SYMBOLS = ("a", "b", "*", "#")
_LONGEST = 4  # symbols of a pattern
_LONGEST_KEY = 8  # words of a key, of `a`, `b` and a word that no pattern names
_LONGEST_ODD_KEY = 6  # words of a key that may be empty, too
_MOST_OTHERS = 4  # patterns of a union

_MESSAGES = 100  # for each topology
_FOLLOWED = 10  # of these are also looked for among the classes of keys

_QUESTIONS = {
    "intersects": "all pairs",
    "covers": "all pairs",
    "witness of both": "all pairs",
    "witness of one without the other": "all pairs",
    "witness of one without a union": "random unions of 2 to 4",
    "route": "random topologies and messages",
    "classes, their witnesses": "every public exchange of these",
    "classes, with any key in one": "random keys",
    "classes, of one key": "random keys, with headers",
}

Answer = TypeVar("Answer")


@dataclass
class Tally:
    """How often each question was asked, how long the compiler took, and what went wrong."""

    asked: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    longest: int = 0  # words of a witness

    def add(self, other: Tally) -> None:
        self.asked.update(other.asked)
        self.wrong.update(other.wrong)
        for question, seconds in other.seconds.items():
            self.seconds[question] = self.seconds.get(question, 0) + seconds
        self.first = other.first | self.first
        self.longest = max(self.longest, other.longest)

    def ask(self, question: str, answer: Callable[[], Answer]) -> Answer:
        began = time.perf_counter()
        found = answer()
        spent = time.perf_counter() - began
        self.seconds[question] = self.seconds.get(question, 0) + spent
        self.asked[question] += 1
        return found

    def expect(self, question: str, holds: bool, *about: object) -> None:
        if not holds:
            self.wrong[question] += 1
            self.first.setdefault(question, "; ".join(map(str, about)))


@cache
def short_patterns() -> list[str]:
    return [
        ".".join(signs)
        for length in range(_LONGEST + 1)
        for signs in product(_SYMBOLS, repeat=length)
    ]


@cache
def keys() -> list[str]:
    """All short keys: those without empty words from short to long, and then those with some."""
    plain = [it for size in range(_LONGEST_KEY + 1) for it in product("abx", repeat=size)]
    odd = [
        it
        for size in range(2, _LONGEST_ODD_KEY + 1)  # a single empty word cannot be sent
        for it in product(("", "a", "b", "x"), repeat=size)
        if "" in it
    ]
    return [".".join(it) for it in (*plain, *odd)]


@cache
def language(pattern: str) -> int:
    """The keys that a pattern matches, a bit for each."""
    matching = expression(pattern).fullmatch
    return sum(1 << place for place, it in enumerate(keys()) if matching(spelt_out(it)))


def pairs_with(one: str, tally: Tally) -> None:
    """Everything that is asked of one short pattern and each of the others."""
    first, mine = topic(one), language(one)
    for other in short_patterns():
        second, its = topic(other), language(other)
        both, only = mine & its, mine & ~its
        said = tally.ask("intersects", lambda second=second: intersects(first, second))
        tally.expect("intersects", said == bool(both), one, other, said)
        said = tally.ask("covers", lambda second=second: covers([second], first))
        tally.expect("covers", said == (not only), one, other, said)
        question = "witness of both"
        found = tally.ask(question, lambda second=second: witness([first, second]))
        _examine(question, found, both, [one, other], [], tally)
        question = "witness of one without the other"
        found = tally.ask(question, lambda second=second: witness([first], [second]))
        _examine(question, found, only, [one], [other], tally)


def union_against(one: str, others: list[str], tally: Tally) -> None:
    question = "witness of one without a union"
    found = tally.ask(question, lambda: witness([topic(one)], map(topic, others)))
    left = language(one)
    for other in others:
        left &= ~language(other)
    _examine(question, found, left, [one], others, tally)


def _examine(
    question: str,
    found: str | None,
    right: int,
    all_of: list[str],
    none_of: list[str],
    tally: Tally,
) -> None:
    """See to it that a witness is one, and that no key with fewer words or characters is."""
    about = (f"all of {all_of}", f"none of {none_of}", f"found {found!r}")
    if found is None:
        tally.expect(question, not right, *about)
        return
    spelt = spelt_out(found)
    holds = all(expression(it).fullmatch(spelt) for it in all_of) and not any(
        expression(it).fullmatch(spelt) for it in none_of
    )
    size = spelt.count(".")
    least = spelt_out(keys()[_lowest_bit(right)]).count(".") if right else _LONGEST_KEY + 1
    # What is longer than all keys that were enumerated is taken to be the shortest.
    shortest = size == least or (size > _LONGEST_KEY and not right)
    tally.expect(question, holds and shortest and len(found) == max(2 * size - 1, 0), *about)
    tally.longest = max(tally.longest, size)


def _lowest_bit(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def messages_of(number: int, seed: int, tally: Tally) -> None:
    """What is asked of one random topology."""
    randomly = Random(f"{seed}/{number}")
    topology = random_topology(randomly, "t")
    routing, slowly = Routing(topology), BruteForce(topology)
    of_exchange: dict[str, dict[tuple[str, ...], str]] = {}
    for exchange in (name for name, it in topology.exchanges.items() if not it.internal):
        of_exchange[exchange] = _classes(exchange, number, routing, slowly, tally)
    for place in range(_MESSAGES):
        exchange, key, headers = random_message(randomly, topology)
        about = (f"topology {number}", exchange, repr(key), headers)
        delivery = tally.ask("route", lambda: routing.route(exchange, key, headers))  # noqa: B023
        right = tuple(sorted(slowly.queues(exchange, key, headers)))
        outcome = Outcome.DELIVERED if right else Outcome.UNROUTABLE
        holds = (delivery.queues, delivery.outcome) == (right, outcome)
        tally.expect("route", holds, *about, delivery.queues, right)
        if place < _FOLLOWED and exchange:
            question = "classes, with any key in one"
            right = tuple(sorted(slowly.queues(exchange, key, {})))
            smallest = tally.ask(question, lambda: of_exchange[exchange].get(right))  # noqa: B023
            holds = smallest is not None and _size(smallest) <= _size(key)
            tally.expect(question, holds, *about, smallest, right)
            question = "classes, of one key"
            found = tally.ask(
                question,
                lambda: list(routing.classes(exchange, [exactly(key)], headers)),  # noqa: B023
            )
            holds = [(it, its.queues) for it, its in found] == [(key, delivery.queues)]
            tally.expect(question, holds, *about, found)


def _classes(
    exchange: str, number: int, routing: Routing, slowly: BruteForce, tally: Tally
) -> dict[tuple[str, ...], str]:
    """The sets of queues that the classes reach, each with the first witness that is given."""
    question = "classes, their witnesses"
    smallest: dict[tuple[str, ...], str] = {}
    for key, delivery in tally.ask(question, lambda: list(routing.classes(exchange))):
        right = tuple(sorted(slowly.queues(exchange, key, {})))
        about = (f"topology {number}", exchange, repr(key))
        tally.expect(question, delivery.queues == right, *about, delivery.queues, right)
        smallest.setdefault(delivery.queues, key)
    return smallest


def _size(key: str) -> int:
    return spelt_out(key).count(".")


def a_part_of(task: tuple[str, int, int, int]) -> Tally:
    """One job for a process: some patterns, some unions or some topologies, by their numbers."""
    kind, first, count, seed = task
    tally = Tally()
    for number in range(first, first + count):
        if kind == "pairs":
            pairs_with(short_patterns()[number], tally)
        elif kind == "unions":
            randomly = Random(f"{seed}/{number}")
            one, *others = randomly.choices(
                short_patterns(), k=randomly.randint(3, _MOST_OTHERS + 1)
            )
            union_against(one, others, tally)
        else:
            messages_of(number, seed, tally)
    return tally


def main() -> int:
    options = _options()
    began = time.perf_counter()
    total = Tally()
    for part in _in_processes(_tasks(options), options.processes):
        total.add(part)
    console = Console()
    console.print(_table(total, options, time.perf_counter() - began))
    console.print(
        f"{len(short_patterns())} patterns of up to {_LONGEST} symbols of {' '.join(_SYMBOLS)}, "
        f"against {len(keys()):,} keys of up to {_LONGEST_KEY} words. "
        f"The longest witness has {total.longest} words."
    )
    for question, first in total.first.items():
        print(f"{question}: {first}")
    return 1 if total.wrong else 0


def _options() -> argparse.Namespace:
    return numbers(
        __doc__,
        messages=(1_000_000, "random ones"),
        unions=(100_000, "random ones"),
        processes=(os.cpu_count() or 1, "how many compare at a time"),
    )


def _tasks(options: argparse.Namespace) -> list[tuple[str, int, int, int]]:
    sizes = (
        ("pairs", len(short_patterns()), 11),
        ("unions", options.unions, 2_000),
        ("messages", options.messages // _MESSAGES, 100),
    )
    return [
        (kind, first, min(step, count - first), options.seed)
        for kind, count, step in sizes
        for first in range(0, count, step)
    ]


def _in_processes(tasks: list[tuple[str, int, int, int]], processes: int) -> Iterator[Tally]:
    with (
        ProcessPoolExecutor(processes) as pool,
        progress() as bar,
    ):
        row = bar.add_task("Comparing", total=len(tasks))
        for done in as_completed([pool.submit(a_part_of, task) for task in tasks]):
            yield done.result()
            bar.advance(row)


def _table(total: Tally, options: argparse.Namespace, seconds: float) -> Table:
    table = Table(
        title=f"The compiler against brute force, seed {options.seed}, "
        f"{seconds:.0f} s in {options.processes} processes"
    )
    table.add_column("question")
    table.add_column("asked of")
    for name in ("asked", "disagreements", "us each"):
        table.add_column(name, justify="right")
    for question, of_what in _QUESTIONS.items():
        asked = total.asked[question]
        each = 1e6 * total.seconds.get(question, 0) / max(asked, 1)
        wrong = total.wrong[question]
        table.add_row(question, of_what, f"{asked:,}", f"{wrong:,}", f"{each:.1f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
