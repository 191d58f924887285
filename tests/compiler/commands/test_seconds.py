"""An option of seconds takes what a clock can wait for."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from routewright.compiler.cli import main


@pytest.mark.parametrize("given", ["--wait=nan", "--wait=inf", "--wait=-1", "--timeout=nan"])
def test_seconds_that_are_no_number_are_an_error_of_usage(given: str) -> None:
    found = CliRunner().invoke(main, ["apply", given, "plan.json"])
    assert found.exit_code == 2
    assert f"Invalid value for '{given.partition('=')[0]}'" in found.output
