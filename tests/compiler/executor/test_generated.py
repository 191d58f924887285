"""Three ways to the same broker: an apply, the generated `declare`, and RabbitMQ's own importer."""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from emitting import emitted
from kombu.connection import Connection
from private_nodes import Broker

from routewright.compiler.emit import Stamp
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import PREDECLARED, Binding, Queue, Topology

pytestmark = pytest.mark.broker

Declared = Callable[[Broker], dict[str, Any]]
RandomTopology = Callable[[int], Topology]

STAMP = Stamp("topology.yaml", "sha256:0", "0.1.0")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Topology], Any]:
    """Writes a generated package and imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(topology: Topology) -> Any:
        name = f"generated_{tmp_path.name}_routing".replace("-", "_")
        (tmp_path / name).mkdir()
        for file, text in emitted(topology, STAMP).items():
            (tmp_path / name / file).write_text(text, encoding="utf-8")
        for module in (name, f"{name}.declarations", f"{name}.names", f"{name}.router"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(name)

    return load


def _import(broker: Broker, topology: Topology, folder: Path) -> None:
    topology = replace(topology, vhost=broker.vhost)
    file = folder / "definitions.json"
    file.write_text(
        emitted(topology, STAMP)["definitions.json"],
        encoding="utf-8",
    )
    broker.node.ctl("import_definitions", str(file))


@pytest.mark.parametrize("seed", range(100, 108))
def test_what_the_package_declares_is_what_an_apply_does(
    broker: Broker,
    declared: Declared,
    random_topology: RandomTopology,
    package: Callable[[Topology], Any],
    seed: int,
) -> None:
    topology = random_topology(seed)
    generated = package(topology)
    with Connection(broker.url) as connection:
        generated.declare(connection)
        there = declared(broker)
        generated.declare(connection)
    assert declared(broker) == there
    assert not apply_topology(topology, broker.url).created
    assert declared(broker) == there


def test_every_kombu_object_declares_itself(
    broker: Broker, media: Topology, declared: Declared, package: Callable[[Topology], Any]
) -> None:
    """A consumer declares its queue, which must bring its own exchanges and bindings along."""
    generated = package(media)
    with Connection(broker.url) as connection:
        channel = connection.channel()
        for exchange in generated.exchanges.values():
            exchange(channel).declare()
        for queue in generated.queues.values():
            queue(channel).declare()
    there = declared(broker)
    apply_topology(media, broker.url)
    after = declared(broker)
    assert [row["name"] for row in there["queues"]] == ["image", "video"]
    assert {name: after[name] for name in ("exchanges", "queues")} == {
        name: there[name] for name in ("exchanges", "queues")
    }
    (missing,) = [row for row in after["bindings"] if row not in there["bindings"]]
    assert missing["destination_type"] == "exchange"  # which no queue can bring along


@pytest.mark.parametrize("seed", range(200, 204))
def test_an_apply_after_an_import_has_nothing_to_do(
    broker: Broker,
    declared: Declared,
    random_topology: RandomTopology,
    tmp_path: Path,
    seed: int,
) -> None:
    topology = random_topology(seed)
    _import(broker, topology, tmp_path)
    there = declared(broker)
    assert {row["name"] for row in there["queues"]} == topology.queues.keys()
    assert {row["name"] for row in there["exchanges"]} == topology.exchanges.keys()
    assert len(there["bindings"]) == len(topology.bindings)
    assert not apply_topology(topology, broker.url).created
    assert declared(broker) == there


def test_an_import_after_an_apply_has_nothing_to_do(
    broker: Broker, media: Topology, declared: Declared, tmp_path: Path
) -> None:
    apply_topology(media, broker.url)
    there = declared(broker)
    _import(broker, media, tmp_path)
    assert declared(broker) == there


def test_the_management_api_takes_the_definitions(
    broker: Broker, media: Topology, declared: Declared
) -> None:
    files = emitted(replace(media, vhost=broker.vhost), STAMP)
    broker.node.api("POST", "/definitions", json.loads(files["definitions.json"]))
    there = declared(broker)
    assert not apply_topology(media, broker.url).created
    assert declared(broker) == there


def test_a_number_in_a_headers_binding_is_another_one_to_the_importer(
    broker: Broker, declared: Declared, tmp_path: Path
) -> None:
    """It has 64 bits there and 32 here: a redundant binding, and no message more."""
    queue, match = Queue("q"), {"x-match": "all", "number": 1}
    binding = Binding(PREDECLARED["amq.headers"], queue, "", match)
    topology = Topology("t", queues={"q": queue}, bindings=(binding,))
    _import(broker, topology, tmp_path)
    with Connection(broker.url) as connection:
        producer = connection.Producer()
        producer.publish("", exchange="amq.headers", headers={"number": 1})
        apply_topology(topology, broker.url)
        assert len(declared(broker)["bindings"]) == 2
        producer.publish("", exchange="amq.headers", headers={"number": 1})
        assert connection.channel().queue_declare("q", passive=True).message_count == 2
