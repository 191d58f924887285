"""Each diagnostic in a topology of its own, with what a person reads kept whole beside it.

`UPDATE_CASES=1 pytest tests/compiler/checks/test_cases.py` writes the texts anew, to be reviewed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from runpy import run_path

import pytest

from routewright.compiler import pipeline
from routewright.compiler.checks.application import check_app
from routewright.compiler.diagnostics.diagnostic import in_file_order
from routewright.compiler.keys import key_classes as keyspace
from routewright.compiler.language.load import MAX_BYTES
from routewright.compiler.reports.explanations import CODES
from routewright.compiler.reports.text import as_text

CASES = Path(__file__).parent / "cases"
MADE = {"file-too-large"}  # made by the test: nobody wants 16 MB in a checkout
NAMES = sorted(path.name for path in CASES.iterdir())


@pytest.mark.parametrize("code", NAMES)
def test_the_text_of_a_diagnostic_is_what_was_reviewed(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code == "too-many-errors":
        monkeypatch.setattr(pipeline, "MOST_SHOWN", 2)
    if code == "too-many-key-classes":
        monkeypatch.setattr(keyspace, "MAX_STATES", 2)
    compilation = compiled(code)
    text = as_text(compilation.diagnostics, compilation.source)
    expected = CASES / code / "expected.txt"
    if os.environ.get("UPDATE_CASES"):
        expected.write_text(text, encoding="utf-8")
    assert code in {found.code for found in compilation.diagnostics}
    assert all(found.span or found.code == "unrouted-task" for found in compilation.diagnostics)
    assert text == expected.read_text(encoding="utf-8")


def test_every_code_has_a_case_and_every_case_a_code() -> None:
    assert set(NAMES) == set(CODES)


def compiled(code: str) -> pipeline.Compilation:
    data = b"#" * (MAX_BYTES + 1) if code in MADE else (CASES / code / "topology.yaml").read_bytes()
    compilation = pipeline.compile_bytes("topology.yaml", data, {})
    app = CASES / code / "app.py"
    if not app.exists():
        return compilation
    assert compilation.topology
    found = check_app(compilation.topology, compilation.routing, run_path(str(app))["app"])
    return replace(compilation, diagnostics=in_file_order(found))
