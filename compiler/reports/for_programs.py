"""Writes diagnostics for programs: as JSON and as SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Span
from routewright.compiler.keys.header_sets import printed
from routewright.compiler.reports.explanations import CODES


def as_json(diagnostics: Iterable[Diagnostic]) -> str:
    """`{"diagnostics": [...]}`; what is absent has no key."""
    return json.dumps({"diagnostics": [_fields(found) for found in diagnostics]}, indent=2)


def as_sarif(diagnostics: Sequence[Diagnostic], version: str) -> str:
    """A SARIF 2.1.0 log of one run."""
    codes = sorted({found.code for found in diagnostics})
    rules = [{"id": code, "shortDescription": {"text": _first_sentence(code)},
              "fullDescription": {"text": CODES[code]}} for code in codes]  # fmt: skip
    run = {
        "tool": {"driver": {"name": "routewright", "semanticVersion": version, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, codes.index(found.code)) for found in diagnostics],
    }
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(log, indent=2)


def _fields(found: Diagnostic) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "code": found.code,
        "severity": str(found.severity),
        "message": found.message,
        **_position(found.span),
    }
    if found.witness is not None:
        fields["witness"] = found.witness
    if found.headers:
        fields["headers"] = printed(found.headers)
    if found.help is not None:
        fields["help"] = found.help
    if found.notes:
        fields["notes"] = [
            {"message": note.message, **_position(note.span)} for note in found.notes
        ]
    return fields


def _position(span: Span | None) -> dict[str, Any]:
    return {
        "file": span.file if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
    }


def _first_sentence(code: str) -> str:
    return CODES[code].split(".", 1)[0].replace("\n", " ") + "."


def _result(found: Diagnostic, rule: int) -> dict[str, Any]:
    text = found.message if found.help is None else f"{found.message}. Help: {found.help}"
    result: dict[str, Any] = {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": str(found.severity),
        "message": {"text": text},
    }
    if found.span:
        result["locations"] = [_location(found.span)]
    related = [
        {"id": number, "message": {"text": note.message}, **_location(note.span)}
        for number, note in enumerate(found.notes)
        if note.span
    ]
    if related:
        result["relatedLocations"] = related
    return result


def _location(span: Span) -> dict[str, Any]:
    region = {"startLine": span.line, "startColumn": span.column, "endColumn": span.end_column}
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(span.file.replace("\\", "/"))},
            "region": region,
        }
    }
