"""A line of a file with a mark under the part that is spoken of."""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len

from routewright.compiler.diagnostics.source import Source, Span

_WIDEST = 120  # columns of a line that are shown
_BEFORE = 40  # of these, how many stand before the mark where a line is too long


def snippet(source: Source, span: Span, mark_style: Callable[[str], str], mark: str) -> list[str]:
    """The place, the line, and the mark under it."""
    number = str(span.line)
    margin = " " * len(number)
    place = f"{margin}--> {printable(span.file)}:{span.line}:{span.column}"
    if not source.text:
        return [place]  # a file that could not be read has no lines to show
    line = source.lines[span.line - 1] if span.line <= len(source.lines) else ""
    start, end = span.column - 1, span.end_column - 1
    first = 0 if len(line) <= _WIDEST else max(0, start - _BEFORE)
    shown = line[first : first + _WIDEST]
    before = ("..." if first else "") + printable(line[first:start])
    marked = printable(line[start : min(end, first + _WIDEST)])
    text = ("..." if first else "") + printable(shown)
    if first + _WIDEST < len(line):
        text += "..."
    underline = mark_style(mark * max(cell_len(marked), 1))
    return [
        place,
        f"{margin} |",
        f"{number} | {text}".rstrip(),
        f"{margin} | {' ' * cell_len(before)}{underline}",
    ]


def printable(text: str) -> str:
    """What a terminal can show without being told to do something else."""
    return "".join(
        " " if it == "\t" else it if it.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for it in text
    )
