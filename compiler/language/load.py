"""A topology file becomes a specification: what was written, checked for its shape."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from routewright.compiler.diagnostics.diagnostic import Diagnostic
from routewright.compiler.diagnostics.source import Source
from routewright.compiler.language.spec import TopologySpec
from routewright.compiler.language.spec_errors import diagnostics_of
from routewright.compiler.language.yaml_text import read


def load(
    source: Source, environment: Mapping[str, str]
) -> tuple[TopologySpec | None, list[Diagnostic]]:
    """What a topology file says, or everything that is wrong with how it says it."""
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
