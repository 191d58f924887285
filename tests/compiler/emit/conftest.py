"""A small topology, and its generated package on disk."""

from collections.abc import Callable
from pathlib import Path

import pytest
from emitting import emitted

from routewright.compiler.emit import Stamp
from routewright.compiler.model.topology import (
    PREDECLARED,
    Binding,
    Exchange,
    Queue,
    Task,
    Topology,
    WorkerGroup,
)

_STAMP = Stamp("topology.yaml", "sha256:" + "0" * 64, "0.1.0")


@pytest.fixture(scope="session")
def media() -> Topology:
    lost = Exchange("lost", "fanout", internal=True)
    tasks = Exchange("tasks", "topic", arguments={"alternate-exchange": "lost"})
    video, image = (Queue(name, arguments={"x-max-priority": 9}) for name in ("video", "image"))
    bindings = (
        Binding(tasks, lost, "lost.#"),
        Binding(tasks, video, "video.#"),
        Binding(tasks, image, "image.#"),
        Binding(PREDECLARED["amq.headers"], image, "", {"x-match": "all", "kind": "image"}),
    )
    tasks_by_name = {
        "media.RotateImage": Task("media.RotateImage", tasks, "image.rotate"),
        "media.CompressVideo": Task("media.CompressVideo", tasks, "video.compress", priority=0),
    }
    return Topology(
        "media",
        "rabbitmq-3.10",
        "/",
        {"tasks": tasks, "lost": lost},
        {"video": video, "image": image},
        bindings,
        tasks_by_name,
        {"slow": WorkerGroup("slow", (image,), concurrency=4)},
    )


@pytest.fixture(scope="session")
def stamp() -> Stamp:
    return _STAMP


@pytest.fixture(scope="session")
def write() -> Callable[[Topology, Path], None]:
    """Writes the package of a topology into a folder."""

    def write(topology: Topology, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in emitted(topology, _STAMP).items():
            (folder / name).write_text(text, encoding="utf-8")

    return write
