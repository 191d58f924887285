"""Generated Python is as ruff would format it, to the byte, and means what it was made of."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from emitting import emitted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routewright.compiler.emit import Stamp
from routewright.compiler.emit.literal import LINE_LENGTH, Call, Subscript, literal
from routewright.compiler.model.topology import (
    PREDECLARED,
    Binding,
    Delays,
    Exchange,
    Queue,
    Task,
    Topology,
    WorkerGroup,
)

RUFF = Path(sys.executable).with_name("ruff")

# What quoting and measuring can get wrong: quotes, escapes, wide and joining letters, and length.
characters = st.one_of(
    st.sampled_from(
        "ab.#*'\"\\{}%\n\t\x00\x7f\xa0\xad日本ｱ\u115f\u0301\u200d\u2028é\U0001f600\U00020000"
    ),
    st.characters(),
)
names = st.one_of(
    st.text(characters, min_size=1, max_size=20),
    st.text("abc'\"日", min_size=40, max_size=255),
    st.integers(1, 255).map("n".__mul__),
)
scalars = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), names)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)
arguments = st.dictionaries(names, values, max_size=3)
finite = st.recursive(
    st.one_of(
        st.booleans(), st.integers(), names, st.floats(allow_nan=False, allow_infinity=False)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
)
json_arguments = st.dictionaries(names, finite, max_size=3)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    some = st.lists(names, max_size=3, unique=True)
    tables, flags = json_arguments, st.booleans()
    exchanges = {
        name: Exchange(name, draw(names), draw(flags), draw(flags), draw(flags), draw(tables))
        for name in draw(some)
    }
    queues = {name: Queue(name, draw(flags), draw(flags), draw(tables)) for name in draw(some)}
    sources = [*exchanges.values(), *PREDECLARED.values()]
    ends = [*exchanges.values(), *queues.values()]
    bindings = [
        Binding(draw(st.sampled_from(sources)), draw(st.sampled_from(ends)), draw(names), table)
        for table in draw(st.lists(tables, max_size=3 if ends else 0))
    ]
    tasks = {
        name: Task(name, draw(st.sampled_from(sources)), draw(names), draw(tables), expires=seconds)
        for name in draw(some)
        for seconds in [draw(st.none() | st.floats(0, 1e20))]
    }
    groups = {
        name: WorkerGroup(name, tuple(queues.values())[: draw(st.integers(0, 3))])
        for name in draw(some)
    }
    vhost = draw(st.none() | names)
    topology = Topology(
        draw(names), draw(names), vhost, exchanges, queues, tuple(bindings), tasks, groups
    )
    return replace(topology, delays=draw(st.none() | st.just(Delays(100, 300))))


def _ruff(folder: Path, *command: str) -> None:
    result = subprocess.run(
        [RUFF, *command, "--isolated", "--no-cache", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(topology=topologies(), source=names)
def test_ruff_finds_nothing_to_format_or_to_say(
    tmp_path_factory: pytest.TempPathFactory, topology: Topology, source: str
) -> None:
    folder = tmp_path_factory.mktemp("generated")
    files = emitted(topology, Stamp(source, "sha256:0", "0.1.0"))
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        if name.endswith(".py"):
            compile(text, name, "exec")
    _ruff(folder, "format", "--diff")
    _ruff(folder, "check")


def test_every_width_is_laid_out_as_ruff_does(tmp_path: Path) -> None:
    """One-tuples and subscripts, where no comma settles the matter, on both sides of the limit."""
    lines = []
    for size in range(LINE_LENGTH - 30, LINE_LENGTH + 5):
        for name in ("n" * size, "日" * (size // 2) + "é" * (size % 2), '"' * size):
            values: list[Any] = [
                (name,),
                [name],
                (name, "b"),
                {"key": name},
                {name: {"a": [1]}},
                Subscript("exchanges", [name]),
                Call("binding", [Subscript("exchanges", [name])], {"arguments": {"a": (1,)}}),
            ]
            lines += [f"x = {literal(value, 0, 4)}\n" for value in values]
            inner = "".join(f"    {literal(value, 4)},\n" for value in values)
            lines.append(f"f(\n{inner})\n")
    (tmp_path / "widths.py").write_text("".join(lines), encoding="utf-8")
    _ruff(tmp_path, "format", "--diff")


@given(values)
def test_a_literal_means_its_value(value: object) -> None:
    assert eval(literal(value), {"float": float}) == value  # the source is our own


def test_a_number_that_is_none_is_still_a_literal() -> None:
    assert math.isnan(eval(literal(math.nan)))


def test_the_same_topology_gives_the_same_bytes_in_any_order(media: Topology, stamp: Stamp) -> None:
    backwards = Topology(
        media.name,
        media.target,
        media.vhost,
        dict(reversed([*media.exchanges.items()])),
        dict(reversed([*media.queues.items()])),
        tuple(reversed(media.bindings)),
        dict(reversed([*media.tasks.items()])),
        dict(reversed([*media.groups.items()])),
    )
    assert emitted(media, stamp) == emitted(backwards, stamp)
