"""What installs is `routewright`, whole, and nothing plainly named `compiler` or `runtime`."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]

# What `python -m build` does, but without the network: a source archive, and a wheel from that.
BUILD_SDIST = "from setuptools import build_meta; build_meta.build_sdist('dist')"
BUILD_WHEEL = "from setuptools import build_meta; build_meta.build_wheel('dist')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the wheel."""
    source = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("compiler", "runtime", "src"):
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
    for name in ("LICENSE", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, source)
    _python(BUILD_SDIST, source)
    [archive] = (source / "dist").glob("*.tar.gz")
    (source / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", source / "unpacked"], check=True)
    [unpacked] = (source / "unpacked").iterdir()
    _python(BUILD_WHEEL, unpacked)
    [built] = (unpacked / "dist").glob("*.whl")
    with ZipFile(built) as files:
        return set(files.namelist())


def _python(program: str, folder: Path) -> None:
    (folder / "dist").mkdir()
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )


def test_the_wheel_holds_every_module_and_template(wheel: set[str]) -> None:
    wanted = {
        f"routewright/{file.relative_to(ROOT)}"
        for folder in ("compiler", "runtime")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".j2"}
    }
    assert wanted | {"routewright/__init__.py", "routewright/py.typed"} <= wheel


def test_the_wheel_installs_routewright_and_nothing_else(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"routewright"}


@pytest.mark.parametrize("name", ["compiler", "runtime"])
def test_a_plain_name_is_not_importable(name: str) -> None:
    # Here, and where only what is installed can be imported. `python -m pytest` breaks the first.
    assert importlib.util.find_spec(name) is None
    program = f"from importlib.util import find_spec; assert find_spec({name!r}) is None"
    subprocess.run([sys.executable, "-I", "-c", program], check=True)


def test_the_constraints_pin_every_direct_dependency_and_hold_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [re.fullmatch(r"([\w.-]+)==([\w.]+)", line) for line in lines]
    assert all(pins)
    pinned = {_normal(pin[1]) for pin in pins if pin}

    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"].values()
    wanted = {
        _normal(name[0])
        for requirement in [*project["dependencies"], *(one for extra in extras for one in extra)]
        if (name := re.match(r"[\w.-]+", requirement))
    }
    assert wanted - {"routewright"} <= pinned


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_file_names_a_package_registry() -> None:
    # Whoever installs has an index of their own configured. The names are put together here, since
    # this file is one of those searched.
    hosts = [f"{name}.org" for name in ("pypi", "python" + "hosted")]
    for file in _files():
        text = file.read_text(errors="ignore")
        assert not any(host in text for host in hosts), file


def _files() -> Iterator[Path]:
    for folder, folders, names in os.walk(ROOT):
        kept = {name for name in folders if not name.startswith(".") or name == ".ci"}
        folders[:] = sorted(kept - {"__pycache__", "build", "dist"})
        yield from (Path(folder) / name for name in names)
