"""The compiled package of the example is committed, and is what its topology compiles to."""

from pathlib import Path

from routewright.compiler import compile_file

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "media" / "media_routing"


def test_the_committed_package_is_what_a_fresh_compile_gives() -> None:
    compilation = compile_file(ROOT / "topology.yaml")
    assert not compilation.diagnostics
    committed = {
        file.name: file.read_bytes().decode() for file in PACKAGE.iterdir() if file.is_file()
    }
    assert committed == dict(compilation.files)
