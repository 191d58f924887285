"""Reads a topology file: its bytes become a text, and the text a specification."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

from pydantic import ValidationError

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Extent, Source
from routewright.compiler.language.spec import TopologySpec
from routewright.compiler.language.spec_errors import diagnostics_of
from routewright.compiler.language.yaml_text import read

MAX_BYTES = 16 * 1024 * 1024


def decode(name: str, data: bytes) -> tuple[Source, list[Diagnostic]]:
    """Decodes the bytes of a file; what is not text, or too much of it, is reported."""
    source = Source(name, "")
    top = source.span(())
    if len(data) > MAX_BYTES:
        return source, [
            Diagnostic(
                "file-too-large",
                f"the file has more than the {MAX_BYTES:,} bytes that are read",
                top,
                help="split the topology into several files",
            )
        ]
    data = data.removeprefix(codecs.BOM_UTF8)  # the codec utf-8-sig counts an error's place without
    try:
        return Source(name, data.decode()), []
    except UnicodeDecodeError as error:
        lines = Source(name, data[: error.start].decode()).lines
        place = Extent(len(lines) - 1, len(lines[-1]), len(lines) - 1, len(lines[-1]))
        text = data.decode(errors="replace")
        source = Source(name, text)
        return source, [
            Diagnostic(
                "not-utf-8",
                f"the byte 0x{data[error.start]:02x} is not part of a UTF-8 text",
                source.mark(place),
                help="save the file as UTF-8",
            )
        ]


def load(
    source: Source, environment: Mapping[str, str]
) -> tuple[TopologySpec | None, list[Diagnostic]]:
    """Returns the specification in a text, or everything that is wrong with its form."""
    reading = read(source, environment)
    found = list(reading.found)
    if reading.value is None:
        return None, found
    try:
        spec = TopologySpec.model_validate(reading.value)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        found += diagnostics_of(errors, source, TopologySpec, reading.unreadable)
        return None, found
    return (None if found else spec), found
