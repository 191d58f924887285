"""Damage done to sound topologies, and what holds of the compiler whatever it is given."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from unicodedata import category

from routewright.compiler.diagnostics.diagnostic import has_errors
from routewright.compiler.diagnostics.source import Source, Span
from routewright.compiler.pipeline import Compilation, compile_bytes
from routewright.compiler.reports.explanations import CODES
from routewright.compiler.reports.for_programs import as_json, as_sarif
from routewright.compiler.reports.text import as_text

ROOT = Path(__file__).parents[2]
SOUND = (ROOT / "topology.yaml", *sorted((ROOT / "tests" / "oracles" / "sound").glob("*.yaml")))
ENVIRONMENT = {"X": "x", "EMPTY": "", "ESCAPE": "\x1b[31m", "HALF": "\udc80", "NUMBER": "1:30"}

# fmt: off
_TOKENS = (
    "#", "*", "**", "*.#", "&a", "*a", "&a x", "!!x", "!y", "!!int", "!!set", "!!binary",
    "!<tag:x>", "{", "}", "[", "]", "{}", "[]", ",", ":", ": ", "?", "? ", "-", "- ", "|", ">",
    ">-", "|9", "%", "@", "`", "'", '"', '""', "''", "<<", "<<: *a", "=", "---", "...",
    "%YAML 1.1", "\\", '"\\e[2J"', '"\\0"', '"\\ud800"', "1:30", "010", "0x10", "0b2", "1_0",
    "1e999", ".inf", ".nan", "-0", "9" * 30, "07" * 3000, "on", "no", "~", "null", "true", "",
    " ", "\t", "\n", "\r", "\x85", "\u2028", "\0", "\ufeff", "\ufffe", "\x1b[31m", "\x7f",
    "\u202e", "e\u0301", "\U0001f407", "\U0010ffff", "ß" * 300, "${X}", "${EMPTY}", "${EMPTY:-}",
    "${ESCAPE}", "${HALF}", "${NUMBER}", "${UNSET}", "${UNSET:-on}", "${", "${}", "$${X}",
    "${X:-", "2001-01-01", "5", "0.5", "-1", "5s", "1d1d", "0ms", "9" * 15 + "d", "amq.topic",
    "amq.", "classic", "quorum", "stream", "fanout", "headers", "x-delayed-message", "a..b",
    "a.*b", "#.#.#.#.x", "exchange: a", "bindings: [{exchange: tasks}]", "arguments: {x-a: [1]}",
    "arguments: {x-match: [1]}", "dead_letter: {exchange: 1}", "tap: true", "queues: []",
)
# fmt: on
_PIECE = re.compile(rb"[\w.$-]+|\s+|[^\w\s]")
_OBEYED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # the categories that do something to a terminal
_SPLICED = 400  # the most bytes that one topology lends to another


def mutant(sound: Sequence[bytes], random: Random) -> bytes:
    """One of the sound topologies with one to four damages; the same for the same `random`."""
    data = random.choice(sound)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        damage = random.choice(_DAMAGES)
        data = damage(data, random, sound)
    return data


def examined(data: bytes) -> Compilation:
    """The compilation of a text, after everything that holds of any compilation was seen to hold.

    Raises:
        Exception: something does not hold; what it is does not matter here.
    """
    compilation = compile_bytes("topology.yaml", data, ENVIRONMENT)
    examine(compilation)
    return compilation


def examine(compilation: Compilation) -> None:
    """See to it that what came of a compilation can be shown, and imported."""
    source, found = compilation.source, compilation.diagnostics
    for diagnostic in found:
        assert diagnostic.code in CODES, f"the code {diagnostic.code} is not among CODES"
        for span in (diagnostic.span, *(note.span for note in diagnostic.notes)):
            assert span is None or _within(span, source), f"{span} is not within the file"
    text = as_text(found, source)
    raw = {char for char in text if category(char) in _OBEYED} - {"\n"}
    assert not raw, f"a terminal would obey {raw}"
    assert len(json.loads(as_json(found))["diagnostics"]) == len(found)
    assert len(json.loads(as_sarif(found, "0.1.0"))["runs"][0]["results"]) == len(found)
    assert bool(compilation.files) != has_errors(found), "files come with errors, or not without"
    for name, file in compilation.files.items():
        if name.endswith(".py"):
            ast.parse(file, name)
        elif name.endswith(".json"):
            json.loads(file)


def _within(span: Span, source: Source) -> bool:
    if span.line == 1 and not source.text:
        return span.column == 1
    if not 1 <= span.line <= len(source.lines):
        return False
    return (
        1 <= span.column <= len(source.lines[span.line - 1]) + 1 and span.column < span.end_column
    )


Damage = Callable[[bytes, Random, Sequence[bytes]], bytes]


def _flip_bytes(data: bytes, random: Random, _sound: Sequence[bytes]) -> bytes:
    flipped = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        if flipped:
            flipped[random.randrange(len(flipped))] ^= 1 << random.randrange(8)
    return bytes(flipped)


def _change_lines(data: bytes, random: Random, _sound: Sequence[bytes]) -> bytes:
    """Drop, double or swap lines."""
    lines = data.splitlines(keepends=True) or [b""]
    first, second = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[first]
        case 1:
            lines.insert(second, lines[first])
        case 2:
            lines[first], lines[second] = lines[second], lines[first]
        case _:
            del lines[min(first, second) : max(first, second)]
    return b"".join(lines)


def _change_indentation(data: bytes, random: Random, _sound: Sequence[bytes]) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    number = random.randrange(len(lines))
    bare = lines[number].lstrip(b" ")
    deep = len(lines[number]) - len(bare)
    lines[number] = random.choice((b"", b" " * (deep + random.randint(-2, 4)), b"\t")) + bare
    return b"".join(lines)


def _swap_words(data: bytes, random: Random, _sound: Sequence[bytes]) -> bytes:
    """Two keys, values or signs of the file change places."""
    pieces = _pieces(data)
    first, second = _word(pieces, random), _word(pieces, random)
    pieces[first], pieces[second] = pieces[second], pieces[first]
    return b"".join(pieces)


def _replace_word(data: bytes, random: Random, _sound: Sequence[bytes]) -> bytes:
    pieces = _pieces(data)
    pieces[_word(pieces, random)] = random.choice(_TOKENS).encode()
    return b"".join(pieces)


def _borrow_word(data: bytes, random: Random, sound: Sequence[bytes]) -> bytes:
    """A key or a value becomes one that stands elsewhere, perhaps in another topology."""
    pieces, other = _pieces(data), _pieces(random.choice((data, random.choice(sound))))
    pieces[_word(pieces, random)] = other[_word(other, random)]
    return b"".join(pieces)


def _insert_token(data: bytes, random: Random, _sound: Sequence[bytes]) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] + random.choice(_TOKENS).encode() + data[place:]


def _cut(data: bytes, random: Random, _sound: Sequence[bytes]) -> bytes:
    place = random.randint(0, len(data))
    return data[:place] if random.random() < 0.5 else data[place:]


def _splice(data: bytes, random: Random, sound: Sequence[bytes]) -> bytes:
    """A piece of another topology in the middle of this one."""
    other = random.choice(sound)
    start, place = random.randrange(len(other)), random.randint(0, len(data))
    return data[:place] + other[start : start + random.randint(1, _SPLICED)] + data[place:]


def _pieces(data: bytes) -> list[bytes]:
    """The text in pieces: words, signs, and the white space between them."""
    return _PIECE.findall(data) or [b""]


def _word(pieces: list[bytes], random: Random) -> int:
    """The place of some piece, which is a word more often than not."""
    place = random.randrange(len(pieces))
    for _ in range(random.randrange(8)):
        if pieces[place][:1].isalnum():
            break
        place = random.randrange(len(pieces))
    return place


_DAMAGES: tuple[Damage, ...] = (
    _flip_bytes,
    _change_lines,
    _change_lines,
    _change_indentation,
    _swap_words,
    _swap_words,
    _replace_word,
    _replace_word,
    _replace_word,
    _borrow_word,
    _borrow_word,
    _borrow_word,
    _insert_token,
    _cut,
    _splice,
)
