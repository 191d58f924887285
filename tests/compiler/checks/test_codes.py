"""Every code is explained once, and the page of all of them says what the program says."""

from __future__ import annotations

import ast
import os
from pathlib import Path

from routewright.compiler.checks import CHECKS, DEAD_LETTER_CHECKS, LOWERING_CHECKS
from routewright.compiler.reports.explanations import CODES

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "diagnostics.md"
REPORTING = {
    *("Diagnostic", "Trap", "VariableError"),
    *("invalid", "report", "_report", "round_warning", "warning"),
}


def codes_in(path: Path) -> set[str]:
    """The first argument of everything in a file that makes a diagnostic."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {
        str(call.args[0].value)
        for call in calls
        if call.args
        and isinstance(call.args[0], ast.Constant)
        and getattr(call.func, "id", getattr(call.func, "attr", "")) in REPORTING
    }


def test_no_code_is_used_that_is_not_explained_and_none_explained_that_is_not_used() -> None:
    used = set().union(*(codes_in(path) for path in (ROOT / "compiler").rglob("*.py")))
    made = {"unknown-exchange", "unknown-queue"}  # from the kind of thing that is unknown
    in_variables = {"boolean-for-text", "number-for-text"}
    assert used | made | in_variables == set(CODES)


def test_a_check_reports_the_code_of_its_own_name() -> None:
    for check in (*CHECKS, *DEAD_LETTER_CHECKS, *LOWERING_CHECKS):
        path = ROOT / "compiler" / "checks" / f"{check.__name__}.py"
        assert codes_in(path) == {check.__name__.replace("_", "-")}


# Written anew by `UPDATE_CASES=1 pytest tests/compiler/checks/test_codes.py`.
def test_the_page_of_diagnostics_is_what_the_program_says() -> None:
    text = "\n".join(
        [
            "# Diagnostics\n",
            "What the compiler finds, in the order of its stages.\n",
            *(f"## {code}\n\n{explanation}\n" for code, explanation in CODES.items()),
        ]
    )
    if os.environ.get("UPDATE_CASES"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text
