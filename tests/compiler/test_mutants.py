"""Whatever becomes of a sound topology, and whatever else is given, ends in an answer."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import get_args

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mutation import ENVIRONMENT, SOUND, examine, examined, mutant
from pydantic import BaseModel

from routewright.compiler import compile_text
from routewright.compiler.language.spec import TopologySpec
from routewright.compiler.pipeline import compile_bytes

SEED = 2026
BATCHES, BATCH = 15, 100
PIECES = [
    "topology",
    "queues",
    "exchange",
    "binding_key",
    "tasks",
    ":",
    "{",
    "}",
    "[",
    "]",
    ",",
    "-",
]
PIECES += [
    " ",
    "\n",
    "\n  ",
    "#",
    "*",
    "&a",
    "*a",
    "<<",
    "!!x",
    '"',
    "'",
    "|",
    "~",
    "1",
    "${X}",
    "?",
]


@pytest.mark.parametrize("path", SOUND, ids=lambda path: path.name)
def test_a_sound_topology_compiles_without_a_word(path: Path) -> None:
    compilation = compile_bytes(path.name, path.read_bytes(), {})
    assert compilation.diagnostics == ()
    examine(compilation)


def test_the_sound_topologies_use_every_option_of_the_language() -> None:
    written = {key for path in SOUND for key in keys(yaml.safe_load(path.read_bytes()))}
    assert options(TopologySpec) <= written


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_damage_to_a_sound_topology_ends_in_a_traceback(batch: int) -> None:
    sound = [path.read_bytes() for path in SOUND]
    for number in range(batch * BATCH, (batch + 1) * BATCH):
        data = mutant(sound, Random(f"{SEED}/{number}"))
        try:
            examined(data)
        except Exception as error:
            error.add_note(f"mutant {number} of seed {SEED}: {data!r}")
            raise


def test_the_same_seed_makes_the_same_mutants() -> None:
    sound = [path.read_bytes() for path in SOUND]
    first, second = ([mutant(sound, Random(f"1/{n}")) for n in range(50)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 40


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf\xc3\xa9\xc3\xa9\xff")
@example(b"---")
def test_no_bytes_end_in_a_traceback(data: bytes) -> None:
    examined(data)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(codec=None), max_size=200))
def test_no_text_ends_in_a_traceback(text: str) -> None:
    examine(compile_text(text))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_pieces_of_the_language_end_in_a_traceback(text: str) -> None:
    examine(compile_bytes("topology.yaml", text.encode(), ENVIRONMENT))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.characters(codec="utf-8"), st.sampled_from(["exchanges", "queues", "tasks", "workers"]))
def test_any_character_may_be_tried_in_a_name(character: str, section: str) -> None:
    escaped = f"\\U{ord(character):08x}"
    examined(f'topology: x\n{section}:\n  "a{escaped}b": {{}}\n'.encode())
    examined(
        f'topology: x\nqueues: {{q: {{exchange: amq.topic, binding_key: "{escaped}"}}}}'.encode()
    )


def keys(value: object) -> set[str]:
    match value:
        case dict():
            return set(value).union(*map(keys, value.values()))
        case list():
            return set().union(*map(keys, value))
        case _:
            return set()


def options(annotation: object) -> set[str]:
    """The names of the fields of a model, and of the models inside of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return set(fields).union(*(options(field.annotation) for field in fields.values()))
    return set().union(*map(options, get_args(annotation)))
