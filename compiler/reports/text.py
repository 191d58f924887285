"""Writes diagnostics as text for people: each with the line that it is about, marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import click
from rich.cells import cell_len

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Severity
from routewright.compiler.diagnostics.source import Source, Span

_WIDEST = 120  # columns of a line that are shown
_BEFORE = 40  # of these, how many stand before the mark where a line is too long
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def as_text(diagnostics: Sequence[Diagnostic], source: Source, *, colour: bool = False) -> str:
    """The diagnostics one after the other, with the lines they speak of; empty without any."""
    style = click.style if colour else _plain
    return "\n".join(_paragraph(found, source, style) for found in diagnostics)


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """The numbers of errors and warnings, as a sentence."""
    severities = [found.severity for found in diagnostics]
    counts = [
        f"{count} {severity}{'s' if count > 1 else ''}"
        for severity in Severity
        if (count := severities.count(severity))
    ]
    return " and ".join(counts) or "nothing to complain of"


def printable(text: str) -> str:
    """Replaces the characters by which a text could control a terminal."""
    return "".join(
        " " if char == "\t" else char if char.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def _paragraph(found: Diagnostic, source: Source, style: Callable[..., str]) -> str:
    colour = _COLOURS[found.severity]
    title = style(f"{found.severity}[{found.code}]", fg=colour, bold=True)
    lines = [f"{title}: {style(printable(found.message), bold=True)}"]
    if found.span:
        lines += _snippet(source, found.span, lambda mark: style(mark, fg=colour, bold=True), "^")
    if found.help:
        lines.append(f"  = {style('help', fg='cyan', bold=True)}: {printable(found.help)}")
    for note in found.notes:
        lines.append(f"  = {style('note', bold=True)}: {printable(note.message)}")
        if note.span:
            lines += _snippet(source, note.span, lambda mark: style(mark, fg="blue"), "-")
    return "\n".join(lines) + "\n"


def _plain(text: str, **_style: object) -> str:
    return text


def _snippet(source: Source, span: Span, mark_style: Callable[[str], str], mark: str) -> list[str]:
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
