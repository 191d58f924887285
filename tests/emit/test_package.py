"""The generated package: light to import, movable, and typed so that a misspelt name is refused."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from routewright.compiler.emit import Stamp, emit, is_generated
from routewright.compiler.routing import Routing
from routewright.compiler.topology import Topology

Write = Callable[[Topology, Path], None]

# An environment may hold pyright without Node, which pyright would then fetch.
TOOLS = {
    "mypy": ["-m", "mypy", "--strict", "--no-incremental", "--cache-dir", "/dev/null"],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
}

RIGHT_USE = """\
from typing import assert_type

import empty_routing
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from media_routing import (
    ExchangeName,
    GroupName,
    QueueName,
    TaskName,
    declare,
    exchanges,
    queues,
    router,
)
from routewright.runtime.route import Route

task: TaskName = "media.RotateImage"
exchange: ExchangeName = "tasks"
queue: QueueName = "video"
group: GroupName = "slow"

assert_type(router.resolve("media.CompressVideo"), Route)
assert_type(router.resolve(task), Route)
assert_type(exchanges["tasks"], Exchange)
assert_type(queues[queue], Queue)


def prepare(connection: Connection) -> None:
    declare(connection)
    empty_routing.declare(connection)
"""

WRONG_USES = [
    'media_routing.router.resolve("media.CompresVideo")',
    'media_routing.exchanges["task"]',
    'media_routing.queues["vidoe"]',
    'task: media_routing.TaskName = "media.CompresVideo"',
    "media_routing.routes",
    'empty_routing.router.resolve("any")',
    'media_routing.declare("a URL")',
]


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory, media: Topology, write: Write) -> Path:
    """A folder that holds `media_routing`, and `empty_routing` of a topology of nothing."""
    folder = tmp_path_factory.mktemp("packages")
    write(media, folder / "media_routing")
    write(Topology("empty"), folder / "empty_routing")
    return folder


@pytest.mark.parametrize("tool", TOOLS)
def test_a_type_checker_accepts_the_right_names(packages: Path, tool: str) -> None:
    (packages / "right.py").write_text(RIGHT_USE)
    checked = _python(packages, *TOOLS[tool], "right.py", "media_routing", "empty_routing")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("tool", TOOLS)
def test_a_type_checker_refuses_the_wrong_ones(packages: Path, tool: str) -> None:
    lines = ["import empty_routing", "import media_routing", *WRONG_USES]
    (packages / "wrong.py").write_text("\n".join(lines) + "\n")
    checked = _python(packages, *TOOLS[tool], "wrong.py")
    refused = [
        number
        for number, _ in enumerate(lines, 1)
        if any(f"wrong.py:{number}:" in line for line in checked.stdout.splitlines())
    ]
    assert refused == [*range(3, len(lines) + 1)], checked.stdout + checked.stderr


def test_the_package_imports_neither_kombu_nor_the_compiler(packages: Path) -> None:
    looked = "import sys, media_routing; print(*sys.modules)"
    modules = _python(packages, "-c", looked).stdout.split()
    assert "media_routing.router" in modules
    heavy = {"kombu", "amqp", "yaml", "pydantic", "jinja2", "redis", "routewright.compiler"}
    assert not heavy & {*modules}


def test_the_package_may_live_anywhere(media: Topology, write: Write, tmp_path: Path) -> None:
    write(media, tmp_path / "shop" / "generated" / "routing")
    used = (
        "from shop.generated.routing import declare, exchanges, queues, router;"
        "print(router.resolve('media.RotateImage').queues, sorted(exchanges), sorted(queues))"
    )
    printed = _python(tmp_path, "-c", used)
    assert printed.stdout == "('image',) ['lost', 'tasks'] ['image', 'video']\n"


def test_an_unknown_attribute_is_an_attribute_error(packages: Path) -> None:
    failed = _python(packages, "-c", "import media_routing; media_routing.rooter")
    assert "AttributeError: module 'media_routing' has no attribute 'rooter'" in failed.stderr


def test_the_package_declares_on_a_transport_that_is_not_amqp(packages: Path) -> None:
    used = (
        "from kombu import Connection; from empty_routing import declare;"
        "declare(Connection('memory://')); print('declared')"
    )
    assert _python(packages, "-c", used).stdout == "declared\n"


def test_a_route_tells_only_what_is_not_the_default(media: Topology, stamp: Stamp) -> None:
    text = emit(media, stamp, Routing(media))["router.py"]
    route = """\
        Route(
            "media.CompressVideo",
            exchange="tasks",
            routing_key="video.compress",
            queues=("video",),
            priority=0,
        ),
"""
    assert route in text


def test_every_file_says_where_it_comes_from(media: Topology, stamp: Stamp) -> None:
    line = f"Generated by routewright 0.1.0 from topology.yaml ({stamp.digest}); do not edit."
    for name, text in emit(media, stamp, Routing(media)).items():
        assert is_generated(text), name
        if name.endswith(".py"):
            first, empty, second, *_ = text.splitlines()
            assert first.startswith('"""')
            assert (empty, second) == ("", line)
    definitions = json.loads(emit(media, stamp, Routing(media))["definitions.json"])
    assert definitions["routewright"] == line
    assert not is_generated("router = None\n")
