"""Values as Python source, laid out to the byte as ruff lays them out.

Whatever fits its line stays on it. What does not is broken after its bracket, one item a line with
a trailing comma; that comma is "magic", so ruff keeps the form. A one-tuple and a subscript have no
magic comma: there the width alone decides, and ruff decides the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import NamedTuple
from unicodedata import ucd_3_2_0 as unicode

LINE_LENGTH = 88
INDENT = 4

_SIMPLE = re.compile(r"[ !#-\[\]-~]*")  # neither escapes nor double quotes
# Those whose width Unicode 3.2 and ruff see differently; most of them join the letter before.
_DOUBTFUL = re.compile("[\xad\u115f-\u11ff\u17a4\u17d8\u1885\u1886\u3164\uff9e\uff9f\uffa0]")


@dataclass(frozen=True, slots=True)
class Call:
    """A call as source; `tall` gives each argument its line even where one line would do."""

    function: str
    arguments: Sequence[object] = ()
    keywords: Mapping[str, object] = field(default_factory=dict)
    tall: bool = False


@dataclass(frozen=True, slots=True)
class Subscript:
    """`name[index]` as source; more than one index stands on a line each."""

    name: str
    indices: Sequence[object]


def literal(value: object, indent: int = 0, column: int = 0) -> str:
    """The source of a value.

    Args:
        value: a scalar, a mapping, a sequence, a `Call` or a `Subscript`.
        indent: the columns its own lines are indented by, should it need several.
        column: the column it starts at, where that is not the indent.

    Raises:
        TypeError: the value has no source, which is a fault of the caller.
    """
    if isinstance(value, str):
        return string(value)
    if value is None or isinstance(value, int):
        return repr(value)
    if isinstance(value, float) and isfinite(value):
        return repr(value).replace("e+", "e")
    return _lay_out(_bracketed(value), indent, column)


def string(text: str) -> str:
    """A string in the quotes that need fewer escapes, double ones in doubt."""
    if _SIMPLE.fullmatch(text):
        return f'"{text}"'
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(_escaped(char, quote) for char in text) + quote


def width(text: str) -> int:
    """The columns a line of source takes, as ruff counts them."""
    if text.isascii():
        return len(text)
    return len(text) + sum(unicode.east_asian_width(char) in "WF" for char in text)


class _Bracketed(NamedTuple):
    """Items between brackets, each with what stands before it."""

    opening: str
    items: list[tuple[str, object]]
    closing: str
    magic: bool = True  # a comma after the last item keeps the items on lines of their own
    tall: bool = False


def _bracketed(value: object) -> _Bracketed:
    match value:
        case Subscript(name, indices):
            many = len(indices) > 1
            return _Bracketed(f"{name}[", _bare(indices), "]", magic=many, tall=many)
        case Call(function, arguments, keywords, tall):
            named = [(f"{name}=", argument) for name, argument in keywords.items()]
            return _Bracketed(f"{function}(", _bare(arguments) + named, ")", tall=tall)
        case Mapping():
            pairs = [(f"{string(key)}: ", item) for key, item in sorted(value.items())]
            return _Bracketed("{", pairs, "}")
        case tuple():
            return _Bracketed("(", _bare(value), ")", magic=len(value) != 1)
        case Sequence():
            return _Bracketed("[", _bare(value), "]")
        case float():
            return _Bracketed("float(", [("", str(value))], ")")
        case _:
            message = f"no Python source for {value!r}"
            raise TypeError(message)


def _bare(items: Iterable[object]) -> list[tuple[str, object]]:
    return [("", item) for item in items]


def _lay_out(value: _Bracketed, indent: int, column: int) -> str:
    """On one line, or on one line for each item."""
    inner = indent + INDENT
    sources = [prefix + literal(item, inner, inner + width(prefix)) for prefix, item in value.items]
    one_tuple = value.opening == "(" and not value.magic
    flat = f"{value.opening}{', '.join(sources)}{',' * one_tuple}{value.closing}"
    # A comma always follows, but for the last bracket of a statement.
    fits = (column or indent) + width(flat) + bool(indent) <= LINE_LENGTH
    if not sources or (fits and not value.tall and "\n" not in flat):
        return flat
    comma = "," if value.magic or one_tuple else ""
    lines = "".join(f"{' ' * inner}{source}{comma}\n" for source in sources)
    return f"{value.opening}\n{lines}{' ' * indent}{value.closing}"


def _escaped(char: str, quote: str) -> str:
    """A character within a string.

    Only what is certain to be drawn, and how wide, stands as itself: letters, digits and
    punctuation of Unicode 3.2, the one version that every Python knows, so that each Python writes
    the same source.
    """
    if char in (quote, "\\"):
        return "\\" + char
    if char.isascii() and char.isprintable():
        return char
    if unicode.category(char)[0] in "LNP" and not _DOUBTFUL.match(char):
        return char
    return char.encode("unicode_escape").decode()
