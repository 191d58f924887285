"""The generated package: light to import, movable, and typed so that a misspelt name is refused."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from emitting import emitted
from planted.sound import FILES

from routewright.compiler import compile_file
from routewright.compiler.emit import Stamp, is_generated
from routewright.compiler.model.topology import Delays, Topology

Write = Callable[[Topology, Path], None]

ROOT = Path(__file__).parents[3]
SOUND = (
    *FILES,
    *sorted(ROOT.glob("examples/*/topology.yaml")),
    *sorted(ROOT.glob("tests/compiler/*/*.yaml")),
    *sorted(ROOT.glob("tests/wire/*.yaml")),
)

# An environment may hold pyright without Node, which pyright would then fetch.
TOOLS = {
    "mypy": ["-m", "mypy", "--strict", "--no-incremental", "--cache-dir", "/dev/null", "."],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
}
FINDING = re.compile(r"\s*(?P<file>[^:]+):(?P<line>\d+):.*\berror: ")

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
from routewright.runtime.router.route import Route

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
    "media_routing.routes",
    'empty_routing.router.resolve("any")',
    'media_routing.declare("a URL")',
    'delayed_routing.queues["media.delay.lost"]',
]
WRONG = f"""\
import delayed_routing
import empty_routing
import media_routing

{"".join(f"print({use}){chr(10)}" for use in WRONG_USES)}
task: media_routing.TaskName = "media.CompresVideo"
"""


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


@pytest.fixture(scope="module", params=TOOLS)
def findings(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    media: Topology,
    write: Write,
) -> dict[str, dict[int, str]]:
    """The errors that a strict type checker finds, by file and line, in one run over everything."""
    folder = tmp_path_factory.mktemp(request.param)
    write(media, folder / "media_routing")
    write(Topology("empty"), folder / "empty_routing")
    write(replace(media, delays=Delays(100, 1000)), folder / "delayed_routing")
    for path in SOUND:
        package = folder / re.sub(r"\W", "_", f"{path.relative_to(ROOT).with_suffix('')}_routing")
        package.mkdir()
        files = compile_file(path).files
        assert files, path
        for name, text in files.items():
            (package / name).write_text(text, encoding="utf-8")
    (folder / "right.py").write_text(RIGHT_USE)
    (folder / "wrong.py").write_text(WRONG)
    (folder / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    checked = _python(folder, *TOOLS[request.param])
    assert checked.returncode == 1, checked.stdout + checked.stderr
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for line in checked.stdout.splitlines():
        if match := FINDING.match(line):
            file = folder.joinpath(match["file"]).relative_to(folder)
            found[str(file)][int(match["line"])] = line
    return found


def test_a_type_checker_accepts_each_sound_topology_and_the_right_names(
    findings: dict[str, dict[int, str]],
) -> None:
    assert "wrong.py" in findings
    assert not [it for file in findings.keys() - {"wrong.py"} for it in findings[file].values()]


def test_a_type_checker_refuses_the_wrong_names(findings: dict[str, dict[int, str]]) -> None:
    wrong = [
        number
        for number, line in enumerate(WRONG.splitlines(), 1)
        if line.startswith(("print(", "task:"))
    ]
    assert sorted(findings["wrong.py"]) == wrong


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
    text = emitted(media, stamp)["router.py"]
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
    for name, text in emitted(media, stamp).items():
        assert is_generated(text), name
        if name.endswith(".py"):
            first, empty, second, *_ = text.splitlines()
            assert first.startswith('"""')
            assert (empty, second) == ("", line)
    definitions = json.loads(emitted(media, stamp)["definitions.json"])
    assert definitions["routewright"] == line
    assert not is_generated("router = None\n")
