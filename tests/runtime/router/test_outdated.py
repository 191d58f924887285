"""Packages of an earlier release are refused by one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from routewright.runtime.router.outdated import MODULES

# As the release before generated it.
ROUTER = """\
from routewright.runtime.exchanges import Exchange
from routewright.runtime.route import Group, Route, Router

router = Router(topology="shop", source="", target="memory", vhost=None, routes=[], groups=[])
"""
SENTENCE = (
    "a generated package imports `routewright.runtime.exchanges`, which this release of Routewright"
    " does not have: an earlier release compiled it. Run `routewright compile` again."
)


def test_a_package_of_the_release_before_asks_to_be_compiled_again(tmp_path: Path) -> None:
    (tmp_path / "shop_routing.py").write_text(ROUTER)
    ran = subprocess.run(
        [sys.executable, "-c", "import shop_routing"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr.splitlines()[-1] == f"routewright.runtime.errors.OutdatedPackage: {SENTENCE}"


def test_a_worker_with_a_package_of_the_release_before_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "shop_routing.py").write_text(ROUTER)
    (tmp_path / "jobs.py").write_text("from shop_routing import router\n")
    ran = subprocess.run(
        [*(sys.executable, "-m", "routewright.compiler.cli"), "worker", "jobs:app", "--group", "g"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    [line] = ran.stderr.splitlines()
    assert SENTENCE in line


@pytest.mark.parametrize("module", sorted(MODULES))
def test_each_former_module_answers(module: str) -> None:
    program = (
        "from routewright.runtime import RoutewrightError\n"
        f"try: import {module}\n"
        "except RoutewrightError as error: print(error)"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert module in printed
    assert "Run `routewright compile` again." in printed


def test_another_name_that_is_not_there_is_pythons_own_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        __import__("routewright.runtime.nothing")
