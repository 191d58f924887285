"""Compiled topologies on a broker, and the real Celery under the settings that were emitted."""

from __future__ import annotations

import importlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery
from child_process import ended
from in_thread import running
from kombu import pools
from kombu.connection import Connection
from private_nodes import Broker, RabbitMQ

from routewright.compiler import compile_file
from routewright.compiler.pipeline import Compilation
from routewright.runtime import App, Worker

HERE = Path(__file__).parent
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

    @contextmanager
    def celery(self, url: str, **options: Any) -> Iterator[Celery]:
        """A Celery application that knows its broker and its topology, and nothing else."""
        app = Celery(self.package, broker=url, set_as_current=False, **options)
        app.config_from_object(self.settings)
        try:
            yield app
        finally:
            self.hang_up(app)
            app.close()

    @staticmethod
    def hang_up(app: Celery) -> None:
        """Close the connection by which this thread gets its results; Celery keeps it open."""
        consumer = getattr(app.backend, "result_consumer", None)
        if consumer is not None:
            with suppress(AttributeError):  # there is none, if no result was waited for
                consumer.stop()


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
    pools.reset()  # which all of a process' applications share, by their broker
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


@pytest.fixture(scope="module")
def celery_worker(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AbstractContextManager[Path]]:
    """Runs a real Celery worker as long as a block runs; gives the file of its log."""
    folder = tmp_path_factory.mktemp("logs")

    @contextmanager
    def run(topology: Compiled, url: str, *queues: str) -> Iterator[Path]:
        log = folder / f"{next(_numbers)}.log"
        command = [sys.executable, "-m", "celery", "-A", "theirs", "worker", "-P", "solo"]
        options = ["-l", "INFO", "--without-gossip", "--without-mingle", "-Q", ",".join(queues)]
        environment = {
            **os.environ,
            "PYTHONPATH": f"{topology.folder}:{HERE}",
            "WIRE_BROKER": url,
            "WIRE_SETTINGS": topology.settings,
        }
        with (
            log.open("wb") as out,
            subprocess.Popen(
                [*command, *options], env=environment, stdout=out, stderr=out, cwd=folder
            ) as worker,
            ended(worker),
        ):
            deadline = time.monotonic() + 60
            while b" ready." not in log.read_bytes():
                assert worker.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield log

    return run


@pytest.fixture(scope="module")
def own_worker() -> Callable[[App, str], AbstractContextManager[Worker]]:
    """Runs a worker of this runtime in a thread, as long as a block runs."""
    return _own_worker


@contextmanager
def _own_worker(app: App, group: str) -> Iterator[Worker]:
    """A worker of this runtime, in a thread."""
    worker = Worker(app, app.router.group(group), grace=10)
    with running(worker):
        yield worker


@pytest.fixture(scope="module")
def shared_broker(rabbitmq: RabbitMQ) -> Iterator[Broker]:
    """A virtual host for the tests of one file."""
    vhost = rabbitmq.fresh_vhost()
    yield Broker(rabbitmq, vhost)
    rabbitmq.delete_vhost(vhost)


@pytest.fixture(scope="module")
def sums(compiled: Callable[[Path], Compiled], shared_broker: Broker) -> Compiled:
    """The topology of the two fleets, declared."""
    topology = compiled(HERE / "sums.yaml")
    topology.declare(shared_broker.url)
    return topology
