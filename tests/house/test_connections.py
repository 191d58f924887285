"""There is one way to a broker, which verifies its certificate."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _makes_connections(file: Path) -> bool:
    """Returns True if a module calls kombu's `Connection` itself."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    imports = any(
        isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("kombu")
        and any(alias.name == "Connection" for alias in node.names)
        for node in nodes
    )
    calls = any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Connection"
        for node in nodes
    )
    return imports and calls


def test_every_connection_to_a_broker_is_verified() -> None:
    files = [*ROOT.glob("runtime/**/*.py"), *ROOT.glob("compiler/**/*.py")]
    assert len(files) > 100
    assert not [file.name for file in files if _makes_connections(file)]
