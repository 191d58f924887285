"""Imports go one way, and the runtime stays light."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER_ONLY = {"jinja2", "pydantic", "yaml"}
# The one room of the compiler that may import a library.
ROOM_OF = {
    "yaml": "language",
    "pydantic": "language",
    "pydantic_core": "language",
    "jinja2": "emit",
}
TOUCHES_THE_DISK = {"io", "os", "pathlib.Path", "shutil", "tempfile"}


def _modules(folder: str) -> dict[str, Path]:
    """The modules of a top folder, by the names they are installed under."""
    modules = {}
    for file in sorted((ROOT / folder).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        modules[".".join(("routewright", *parts))] = file
    return modules


def _imports(name: str, file: Path) -> Iterator[str]:
    """What a module imports, wherever in its text; `from a import b` counts as `a.b`."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                start = package[: len(package) - level + 1] if level else []
                origin = ".".join([*start, *([module] if module else [])])
                yield from (f"{origin}.{alias.name}" for alias in names)


def _graph(folder: str) -> dict[str, set[str]]:
    """Which module names which, within a folder; for a type checker alone, too."""
    modules = _modules(folder)
    graph: dict[str, set[str]] = {}
    for name, file in modules.items():
        graph[name] = set()
        for imported in _imports(name, file):
            # `a.b` is a module of its own, or a name in `a`.
            target = imported if imported in modules else imported.rpartition(".")[0]
            graph[name] |= {target} & modules.keys() - {name}
    return graph


@pytest.mark.parametrize("folder", ["compiler", "runtime"])
def test_there_is_no_import_cycle(folder: str) -> None:
    try:
        TopologicalSorter(_graph(folder)).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def test_the_runtime_imports_nothing_of_the_compiler() -> None:
    for name, file in _modules("runtime").items():
        for imported in _imports(name, file):
            assert not f"{imported}.".startswith("routewright.compiler."), f"{name}: {imported}"
            assert imported.split(".")[0] not in COMPILER_ONLY, f"{name}: {imported}"


def test_a_library_stays_in_its_room() -> None:
    for name, file in _modules("compiler").items():
        for imported in _imports(name, file):
            room = ROOM_OF.get(imported.split(".")[0])
            assert room is None or name.split(".")[2] == room, f"{name}: {imported}"


def test_only_one_file_of_emit_touches_the_disk() -> None:
    for name, file in _modules("compiler").items():
        if name.startswith("routewright.compiler.emit") and file.name != "write.py":
            assert not TOUCHES_THE_DISK & set(_imports(name, file)), name


def test_what_is_generated_imports_only_the_runtime_and_kombu() -> None:
    for file in sorted(ROOT.glob("examples/*/*_routing/**/*.py")):
        for imported in _imports(f"{file.parent.name}.{file.stem}", file):
            top = imported.split(".")[0]
            allowed = {"kombu", file.parent.name, *sys.stdlib_module_names}
            assert top in allowed or imported.startswith("routewright.runtime"), f"{file}: {top}"


def test_a_router_needs_neither_the_compiler_nor_what_it_uses() -> None:
    program = "import sys, routewright.runtime.router.route; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert "routewright.runtime.router.route" in loaded
    assert not loaded & {"routewright.compiler", *COMPILER_ONLY}
