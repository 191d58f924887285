"""Compiled topologies on a broker, and the real Celery under the settings that were emitted."""

from __future__ import annotations

import importlib
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery
from kombu import Connection
from private_nodes import Broker

from routewright.compiler import compile_file
from routewright.compiler.pipeline import Compilation

_numbers = itertools.count()


@dataclass(frozen=True)
class Compiled:
    """A compiled topology whose package can be imported, here and in a folder of its own."""

    compilation: Compilation
    package: str
    folder: Path

    def module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.package}.{name}")

    @property
    def router(self) -> Any:
        return self.module("router").router

    @property
    def settings(self) -> str:
        return f"{self.package}.celery_config"

    def declare(self, url: str) -> None:
        with Connection(url) as connection:
            self.module("declarations").declare(connection)

    def celery(self, url: str, **options: Any) -> Celery:
        """A Celery application that knows its broker and its topology, and nothing else."""
        app = Celery(self.package, broker=url, set_as_current=False, **options)
        app.config_from_object(self.settings)
        return app


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Compiled]]:
    """Compiles a topology file, under a package name of its own."""
    folder = tmp_path_factory.mktemp("packages")
    sys.path.insert(0, str(folder))

    def compile_one(path: Path) -> Compiled:
        compilation = compile_file(path)
        assert compilation.files, compilation.diagnostics
        package = f"wire_{next(_numbers)}_routing"
        (folder / package).mkdir()
        for name, text in compilation.files.items():
            (folder / package / name).write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return Compiled(compilation, package, folder)

    yield compile_one
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("wire_")]:
        del sys.modules[name]


@pytest.fixture
def arrived() -> Callable[[Broker], dict[str, list[str]]]:
    """The queues in which each message is, by its task id; they are empty afterwards."""
    return _arrived


def _arrived(broker: Broker) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with Connection(broker.url) as connection:
        channel: Any = connection.channel()
        for queue in sorted(row["name"] for row in broker.queues("name")):
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                found.setdefault(message.headers["id"], []).append(queue)
    return found


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait for a condition; fail if it does not come about."""

    def wait(condition: Callable[[], object], within: float = 30) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "it did not come about in time"
            time.sleep(0.02)

    return wait
