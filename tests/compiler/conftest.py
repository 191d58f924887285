"""A topology to declare, random ones, and a way to the broker that can be cut."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, Self

import pytest
from private_nodes import Broker

from routewright.compiler.model.topology import PREDECLARED, Binding, Exchange, Queue, Topology


@pytest.fixture
def media() -> Topology:
    tasks = Exchange("tasks", "topic", arguments={"alternate-exchange": "lost"})
    lost = Exchange("lost", "fanout", internal=True)
    video = Queue("video", arguments={"x-max-priority": 9, "x-dead-letter-exchange": "tasks"})
    image = Queue("image", arguments={"x-message-ttl": 60000})
    bindings = (
        Binding(tasks, lost, "lost.#"),
        Binding(tasks, video, "video.#"),
        Binding(tasks, image, "image.#"),
        Binding(PREDECLARED["amq.headers"], image, "", {"x-match": "all", "kind": "image"}),
    )
    return Topology(
        "media",
        exchanges={"tasks": tasks, "lost": lost},
        queues={"video": video, "image": image},
        bindings=bindings,
    )


@pytest.fixture
def random_topology() -> Callable[[int], Topology]:
    return _random_topology


@pytest.fixture
def declared() -> Callable[[Broker], dict[str, Any]]:
    return _declared


@pytest.fixture
def road() -> Iterator[Callable[..., "Road"]]:
    """Makes roads to a port, as `Road` takes its arguments; they end with the test."""
    with ExitStack() as roads:
        yield lambda *arguments, **options: roads.enter_context(Road(*arguments, **options))


class Road:
    """A TCP proxy that is cut, or goes silent, after so many bytes from the client."""

    def __init__(self, port: int, after: int, *, silent: bool = False) -> None:
        self._target, self._left, self._silent = port, after, silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._cut()
        self._listener.close()

    def _run(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:  # nobody came
            return
        broker = socket.create_connection(("127.0.0.1", self._target))
        self._ends = [client, broker]
        threading.Thread(target=self._forward, args=(broker, client), daemon=True).start()
        self._forward(client, broker)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source is self._ends[0]:
                    if len(data) >= self._left:
                        if not self._silent:
                            self._cut()
                        return
                    self._left -= len(data)
                target.sendall(data)

    def _cut(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _declared(broker: Broker) -> dict[str, Any]:
    """What the broker itself exports of the virtual host, in the shape of definitions.json."""
    exported = broker.node.api("GET", f"/definitions/{broker.vhost}")
    sections = {}
    for section in ("exchanges", "queues", "bindings"):
        rows = [{key: row[key] for key in row if key != "vhost"} for row in exported[section]]
        sections[section] = sorted(rows, key=repr)
    return sections


def _random_topology(seed: int) -> Topology:
    pick = random.Random(seed)
    key = lambda: ".".join(pick.choices(["a", "b", "*", "#", "ü", ""], k=pick.randint(0, 4)))  # noqa: E731
    exchanges = {}
    for number in range(pick.randint(1, 8)):
        name = f"x{number}{pick.choice(['', ' spaced', '.dots', '/é', chr(0x65E5)])}"
        arguments = {"alternate-exchange": pick.choice(["x0", "x1", "nowhere"])}
        exchanges[name] = Exchange(
            name,
            pick.choice(["direct", "topic", "fanout", "headers"]),
            durable=pick.random() < 0.8,
            auto_delete=pick.random() < 0.2,
            internal=pick.random() < 0.2,
            arguments=arguments if pick.random() < 0.3 else {},
        )
    queues = {}
    for number in range(pick.randint(1, 8)):
        name, classic = f"q{number}", pick.random() < 0.8
        possible = {
            "x-message-ttl": pick.choice([0, 60_000, 2**33]),
            "x-max-length": pick.randint(0, 10),
            "x-overflow": pick.choice(["drop-head", "reject-publish"]),
            "x-dead-letter-exchange": pick.choice(["", *exchanges]),
            "x-single-active-consumer": pick.random() < 0.5,
            "x-custom": {"nested": [1, True, "é", {"deep": 2}]},
        }
        classics = {"x-max-priority": pick.randint(0, 255), "x-queue-mode": "lazy"}
        possible |= classics if classic else {"x-delivery-limit": 3}
        arguments = {name: it for name, it in possible.items() if pick.random() < 0.4}
        queues[name] = Queue(
            name,
            durable=not classic or pick.random() < 0.8,
            arguments=arguments if classic else {**arguments, "x-queue-type": "quorum"},
        )
    sources = [*exchanges.values(), PREDECLARED["amq.topic"], PREDECLARED["amq.headers"]]
    bindings: dict[tuple[Any, ...], Binding] = {}
    for _ in range(pick.randint(0, 20)):
        source = pick.choice(sources)
        destination = pick.choice([*exchanges.values(), *queues.values()])
        match = {"x-match": pick.choice(["all", "any"]), "kind": pick.choice([1.5, "a", True])}
        arguments = match if source.type == "headers" else {}
        binding = Binding(source, destination, key(), arguments)
        bindings[source.name, destination.name, binding.key, repr(arguments)] = binding
    return Topology(f"random {seed}", None, None, exchanges, queues, tuple(bindings.values()))  # type: ignore[arg-type]
