"""Every room imports the rooms below it, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# In floor order, lowest first: a room, and the rooms that it may use, with all that these may use.
COMPILER: dict[str, tuple[str, ...]] = {
    "garbage": (),
    "diagnostics": (),
    "rabbitmq": ("diagnostics",),
    "keys": (),
    "model": ("keys", "rabbitmq"),
    "definitions": ("model",),
    "language": ("model",),
    "routing": ("model",),
    "resolver": ("language", "routing"),
    "lowering": ("routing",),
    "analysis": ("lowering", "definitions"),
    "emit": ("lowering", "definitions"),
    "checks": ("analysis",),
    "reports": ("checks",),
    "pipeline": ("garbage", "resolver", "emit", "reports"),
    "plan": ("model", "analysis", "definitions"),
    "planner": ("garbage", "plan", "lowering", "analysis"),
    "broker": ("plan",),
    "executor": ("planner", "broker"),
    "commands": ("pipeline", "executor"),
    "cli": ("commands",),
}
RUNTIME: dict[str, tuple[str, ...]] = {
    "errors": (),
    "router": ("errors",),
    "messages": ("errors", "router"),
    "connect": ("messages",),
    "transport": ("connect",),
    "results": ("transport",),
    "sending": ("transport", "results"),
    "parking": ("sending",),
    "celery": ("messages",),
    "api": ("sending", "parking", "results"),
    "worker": ("api",),
}
# What the compiler's rooms may use of the runtime; `commands` may use all of it.
OF_THE_RUNTIME = {"errors", "router", "messages"}
ALSO_OF_THE_RUNTIME = {"broker": {"connect"}}
FACES = {"", "compiler", "runtime"}


def _below(table: dict[str, tuple[str, ...]], room: str) -> set[str]:
    """A room, and all that it may use."""
    return {room}.union(*(_below(table, it) for it in table[room]))


def _rooms(folder: str) -> Iterator[tuple[str, Path]]:
    """The modules of a top folder with the room of each; the face of the folder has none."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        first = file.relative_to(ROOT / folder).parts[0].removesuffix(".py")
        if first != "__init__":
            yield first, file


def _imported(file: Path) -> Iterator[tuple[str, str]]:
    """The top folder and the room of everything of ours that a module imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), level=0, names=aliases):
                names = [f"{module}.{alias.name}" for alias in aliases]
        for name in names:
            parts = name.split(".")
            if parts[0] == "routewright" and len(parts) > 2:
                yield parts[1], parts[2]


def _violations() -> set[tuple[str, str]]:
    found = set()
    for folder, table in (("compiler", COMPILER), ("runtime", RUNTIME)):
        for room, file in _rooms(folder):
            for other, target in _imported(file):
                if other == folder:
                    allowed = target in _below(table, room) or target not in table
                elif folder == "runtime":
                    allowed = False
                else:
                    known = OF_THE_RUNTIME | ALSO_OF_THE_RUNTIME.get(room, set())
                    allowed = room in ("commands", "cli") or target in known
                if not allowed:
                    found.add((f"{folder}.{room}", f"{other}.{target}"))
    return found


def test_every_room_imports_only_rooms_below_it() -> None:
    assert not _violations()


@pytest.mark.parametrize(("folder", "table"), [("compiler", COMPILER), ("runtime", RUNTIME)])
def test_every_room_stands_in_the_table(folder: str, table: dict[str, tuple[str, ...]]) -> None:
    rooms = {room for room, _ in _rooms(folder)}
    assert rooms <= table.keys()
    order = list(table)
    for room, used in table.items():
        assert all(order.index(it) < order.index(room) for it in used), room


def test_every_room_says_what_lives_there() -> None:
    for folder, table in (("compiler", COMPILER), ("runtime", RUNTIME)):
        for room in table:
            face = ROOT / folder / room / "__init__.py"
            if face.parent.is_dir():
                text = ast.get_docstring(ast.parse(face.read_text())) or ""
                assert len(text.split()) > 10, face
