"""What a YAML parser refuses, said in words that help.

The language of binding keys is made of characters that YAML gives meanings of its own: `#` begins a
comment and `*` an alias. A parser's message about these is of little use, so they are recognised
here. Where it is plain what was meant, the text is mended by one character, for the sake of finding
the next error in the same run; the mended text is never compiled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml
from yaml.composer import ComposerError

from routewright.compiler.diagnostics.diagnostic import Diagnostic, Note
from routewright.compiler.diagnostics.source import Extent, Source, Span
from routewright.compiler.language.scalars import Scalar

# What the parser's reader refuses: YAML 1.1's set of printable characters, turned round.
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
_MOST_UNPRINTABLE = 20  # a binary file has thousands, and twenty say as much
_COMMENT_FOR_VALUE = re.compile(r"[:\[,-][ \t]+(#[^\s,\]}]*)")
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_TOKEN = re.compile(r"[^\s,\]}]*")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the text was refused, and at which character one mends it to read on, if one can."""

    diagnostic: Diagnostic
    mend_at: tuple[int, int] | None = None  # line and column, from 0
    mended: int = 1  # how many characters


def unprintable(source: Source) -> list[Diagnostic]:
    """Characters that no YAML file may hold."""
    found: list[Diagnostic] = []
    for number, line in enumerate(source.lines):
        for match in _UNPRINTABLE.finditer(line):
            found.append(
                Diagnostic(
                    "unprintable-character",
                    f"the character U+{ord(match[0]):04X} may not stand in a YAML file",
                    _span(source, number, match.start()),
                    help="delete it, or write it as an escape in double quotes",
                )
            )
            if len(found) == _MOST_UNPRINTABLE:
                return found
    return found


def refusal_of(source: Source, error: yaml.MarkedYAMLError) -> Refusal:
    """Translates the parser's error into terms of the file."""
    problem, context = error.problem_mark, error.context_mark
    place = problem or context
    line, column = (place.line, place.column) if place else (0, 0)
    character = source.lines[line][column : column + 1] if line < len(source.lines) else ""
    if error.context == "while scanning an alias" and context:
        return _star(source, context.line, context.column)
    if isinstance(error, ComposerError):
        if error.problem and "undefined alias" in error.problem:
            return _alias(source, line, column)
        if error.context and "single document" in error.context:
            return _documents(source, line, column)
    if context and error.context and "flow" in error.context:
        refusal = _comment(source, context.line, context.column, line)
        refusal = refusal or _variable(source, line, column)
        if refusal:
            return refusal
    if character == "\t":
        return _tab(source, line, column)
    return _syntax(source, error, line, column, character)


def _star(source: Source, line: int, column: int) -> Refusal:
    token = _token(source, line, column)
    return Refusal(
        Diagnostic(
            "star-starts-alias",
            f"`{token}` begins with `*`, which makes it a YAML alias and not a pattern",
            _span(source, line, column, len(token)),
            help=f'quote it: `"{token}"`',
        ),
        (line, column),
    )


def _alias(source: Source, line: int, column: int) -> Refusal:
    token = _token(source, line, column)
    return Refusal(
        Diagnostic(
            "unknown-alias",
            f"`{token}` is a YAML alias, and there is no anchor `&{token[1:]}` before it",
            _span(source, line, column, len(token)),
            help=f'quote a binding key: `"{token}"`; or write the anchor',
        ),
        (line, column),
    )


def _comment(source: Source, first: int, column: int, last: int) -> Refusal | None:
    """The `#` that swallowed the rest of a line of a flow mapping or sequence."""
    for line in range(first, min(last + 1, len(source.lines))):
        match = _COMMENT_FOR_VALUE.search(source.lines[line], column if line == first else 0)
        if match:
            return Refusal(
                hash_starts_comment(source, line, match.start(1)), (line, match.start(1))
            )
    return None


def _variable(source: Source, line: int, column: int) -> Refusal | None:
    """`${NAME}` without quotes within brackets, where its own brace begins a mapping."""
    for match in _VARIABLE.finditer(source.lines[line] if line < len(source.lines) else ""):
        if match.start() <= column <= match.end():
            token = match[0]
            return Refusal(
                Diagnostic(
                    "unquoted-variable",
                    f"`{token}` stands within brackets, where YAML takes its `{{` for a mapping",
                    _span(source, line, match.start(), len(token)),
                    help=f'quote it: `"{token}"`, or for a number `!!int "{token}"`; outside of '
                    "brackets it needs no quotes",
                ),
                (line, match.start()),
                len(token),
            )
    return None


def hash_starts_comment(source: Source, line: int, column: int) -> Diagnostic:
    """A `#` where a value should stand."""
    token = _token(source, line, column)
    return Diagnostic(
        "hash-starts-comment",
        f"`{token}` begins a YAML comment, so there is no value here",
        _span(source, line, column, len(token)),
        help=f'quote it: `"{token}"`',
    )


def not_text(span: Span, value: Scalar, written: str) -> Diagnostic:
    """A boolean, a number or nothing, where text should stand."""
    match value:
        case None:
            return Diagnostic(
                "missing-value",
                f"`{written}` is nothing in YAML, and a value is expected here"
                if written.strip()
                else "there is nothing here, and a value is expected",
                span,
                help="write the value, or take the key away",
            )
        case bool():
            code, meaning = "boolean-for-text", f"the boolean {str(value).lower()}"
        case _:
            code, meaning = "number-for-text", f"the number {value}"
    return Diagnostic(
        code,
        f"`{written}` is {meaning} in YAML, and text is expected here",
        span,
        help=f'quote it: `"{written}"`',
    )


def _documents(source: Source, line: int, column: int) -> Refusal:
    return Refusal(
        Diagnostic(
            "several-documents",
            "a second YAML document begins here, and a topology is one document",
            _span(source, line, column, len("---")),
            help="take the `---` away, or put the second topology into a file of its own",
        )
    )


def _tab(source: Source, line: int, column: int) -> Refusal:
    return Refusal(
        Diagnostic(
            "tab-indentation",
            "a tab stands where YAML wants spaces",
            _span(source, line, column),
            help="indent with spaces",
        )
    )


def _syntax(
    source: Source, error: yaml.MarkedYAMLError, line: int, column: int, character: str
) -> Refusal:
    context, doing = error.context_mark, error.context
    notes: tuple[Note, ...] = ()
    if context and doing and (context.line, context.column) != (line, column):
        begin = _span(source, context.line, context.column)
        if character:
            notes = (Note(f"{doing}, which begins here", begin),)
        else:  # the end of the text is no place to look for what was left open
            line, column = context.line, context.column
    return Refusal(
        Diagnostic(
            "yaml-syntax",
            f"this is not YAML: {f'{doing}, ' if doing else ''}{error.problem}",
            _span(source, line, column),
            help=f"quote a value that begins with `{character}`"
            if character and character in "@`%"
            else None,
            notes=notes,
        )
    )


def _span(source: Source, line: int, column: int, length: int = 1) -> Span:
    """Returns the span of a part of a line; line and column count from 0."""
    return source.mark(Extent(line, column, line, column + length))


def _token(source: Source, line: int, column: int) -> str:
    match = _TOKEN.match(source.lines[line], column)
    return match[0] if match and match[0] else source.lines[line][column : column + 1]
