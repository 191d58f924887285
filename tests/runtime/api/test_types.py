"""What a type checker knows of a task, and what importing the runtime costs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
MODULE = """
from typing import Any, assert_type
from routewright.runtime import App, AsyncResult, Router, Task, task

router: Router[str] = Router(topology="", source="", target="", vhost=None, routes=[], groups=[])
the_app = App(router)

@the_app.task
def bare(x: int) -> str: return str(x)

@the_app.task(name="named", priority=0)
def named(x: int, *, y: str = "") -> int: return x

@the_app.task(bind=True)
def bound(self: Any, x: int) -> int: return x

@task(the_app, name="free")
def free() -> None: ...

class Add(Task):
    app = the_app
    name = "add"
    priority = 3
    def run(self, x: int, y: int) -> int: return x + y

assert_type(bare.delay(1), AsyncResult[str])
assert_type(named.delay(1, y="a").get(timeout=1), int)
assert_type(bound.delay(1), AsyncResult[int])
assert_type(bare(1), str)
assert_type(Add.delay(1, 2), AsyncResult[Any])
Add.apply_async(args=[1, 2], expires=3.5, headers={"a": 1})
Add.apply_async([1, 2], countdown=3)
bare.delay("1")  # error
bare.delay()  # error
named.delay(1, z=2)  # error
bound.delay("a")  # error
free.delay(1)  # error
bare.apply_async([1], priority="high")  # error
Add.apply_async([1, 2], countdown="3")  # error
bare.apply_async([1], eta=3)  # error
"""


def test_a_type_checker_refuses_wrong_arguments(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    file = tmp_path / "checked.py"
    file.write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", file],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"MYPYPATH": str(SOURCE), "MYPY_CACHE_DIR": str(tmp_path / "cache")},
    )
    lines = MODULE.splitlines()
    wanted = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    told = {int(line.split(":")[1]) for line in done.stdout.splitlines() if " error:" in line
            and line.startswith("checked.py")}  # fmt: skip
    assert told == wanted, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "without"),
    [
        (
            "routewright.runtime.router.route",
            "kombu amqp yaml pydantic jinja2 routewright.compiler",
        ),
        ("routewright.runtime", "kombu amqp yaml pydantic jinja2 routewright.compiler"),
        ("routewright.runtime.worker.command", "pydantic jinja2 routewright.compiler"),
    ],
)
def test_importing_the_runtime_brings_no_more_than_it_needs(module: str, without: str) -> None:
    code = f"""
        import sys, {module}
        loaded = [name for name in {without.split()} if name in sys.modules]
        assert not loaded, loaded
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


NAMED = """
from routewright.runtime import App, Router, Task
from routewright.runtime.messages.exceptions import decode_exception, encode_exception

router = Router(topology="", source="", target="", vhost=None, routes=[], groups=[])
the_app = App(router, "memory://")

class Trouble(Exception): ...

class CompressVideo(Task):
    app = the_app
    def run(self): ...

@the_app.task
def crop(): ...

if __name__ == "__main__":
    print(*the_app.tasks)
    data = encode_exception(Trouble("x"))
    print(data["exc_module"], type(decode_exception(data)) is Trouble)
"""


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["media.py"], "media"),
        (["-m", "media"], "media"),
        (["-m", "package.media"], "package.media"),
    ],
)
def test_a_task_has_the_name_by_which_a_worker_imports_it(
    tmp_path: Path, command: list[str], module: str
) -> None:
    """A client runs as `__main__` what its worker imports as `media`."""
    (tmp_path / "package").mkdir()
    for folder in (tmp_path, tmp_path / "package"):
        (folder / "media.py").write_text(NAMED)
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [f"{module}.CompressVideo", f"{module}.crop", module, "True"]


def test_every_name_of_the_runtime_is_there() -> None:
    from routewright import runtime  # noqa: PLC0415

    for name in runtime.__all__:
        assert getattr(runtime, name) is not None
    assert set(runtime.__all__) <= set(dir(runtime))
    assert callable(runtime.task)
    with pytest.raises(AttributeError):
        runtime.nonsense  # noqa: B018
