"""Whatever stands in the way of an apply is one clear line, and never tells the password."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from private_nodes import Broker, RabbitMQ

from routewright.compiler.broker.errors import (
    BrokerError,
    ConnectionLost,
    CredentialsRefused,
    DeclarationRefused,
    InvalidUrl,
    NotABroker,
    PermissionRefused,
    Unreachable,
    VhostMismatch,
    VhostRefused,
)
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import Exchange, Queue, Topology

ONE = Topology("t", queues={"q": Queue("q")})


@pytest.fixture
def server() -> Iterator[Callable[..., int]]:
    """Starts servers that answer whoever connects with some bytes; gives their ports."""
    listeners: list[socket.socket] = []
    clients: list[socket.socket] = []

    def start(answer: bytes = b"", *, close: bool = False, drip: float = 0) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            client, _ = listener.accept()
            clients.append(client)
            with suppress(OSError):  # it may give up on us
                client.recv(8)
                for byte in answer:
                    client.sendall(bytes([byte]))
                    time.sleep(drip)
            if close:
                client.close()

        threading.Thread(target=run, daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    for each in (*listeners, *clients):
        each.close()


def _refused(url: str, kind: type[BrokerError], topology: Topology = ONE, **options: Any) -> str:
    with pytest.raises(BrokerError) as caught:
        apply_topology(topology, url, **options)
    line = str(caught.value)
    assert type(caught.value) is kind, line
    assert "\n" not in line
    assert "secret" not in line
    assert not caught.value.applied.created
    return line


@pytest.mark.broker
class TestTheBrokerSaysNo:
    def test_wrong_password(self, broker: Broker) -> None:
        url = broker.node.url(broker.vhost, "guest", "secret")
        line = _refused(url, CredentialsRefused)
        assert line == f"127.0.0.1:{broker.node.port} refuses user `guest` or the password"

    def test_no_such_virtual_host(self, broker: Broker) -> None:
        line = _refused(broker.node.url("nowhere"), VhostRefused)
        assert "does not let user `guest` into `nowhere`: vhost nowhere not found" in line

    def test_no_access_to_the_virtual_host(self, broker: Broker) -> None:
        _user(broker, "outsider", None)
        line = _refused(broker.node.url(broker.vhost, "outsider", "secret"), VhostRefused)
        assert f"access to vhost '{broker.vhost}' refused for user 'outsider'" in line

    def test_no_permission_to_configure(self, broker: Broker) -> None:
        _user(broker, "reader", {"configure": "^mine", "write": ".*", "read": ".*"})
        url = broker.node.url(broker.vhost, "reader", "secret")
        line = _refused(url, PermissionRefused)
        assert line.startswith("no permission for queue `q`: access to queue 'q' in vhost")
        assert "'reader'" in line

        apply_topology(ONE, broker.url)  # it is no other with a queue that is there
        assert _refused(url, PermissionRefused) == line

    def test_no_permission_half_way_says_what_was_done(self, broker: Broker) -> None:
        _user(broker, "half", {"configure": "^a", "write": ".*", "read": ".*"})
        topology = Topology("t", queues={name: Queue(name) for name in ("a1", "a2", "b")})
        url = broker.node.url(broker.vhost, "half", "secret")
        with pytest.raises(PermissionRefused) as caught:
            apply_topology(topology, url)
        assert caught.value.applied.queues == ("a1", "a2")
        assert "queue `b`" in str(caught.value)
        assert str(caught.value).endswith("; before that: created 2 queues")

    def test_an_argument_the_broker_refuses(self, broker: Broker) -> None:
        queue = Queue("q", arguments={"x-queue-type": "quorum", "x-max-priority": 9})
        line = _refused(broker.url, DeclarationRefused, Topology("t", queues={"q": queue}))
        assert line.startswith("the broker refuses queue `q`: 406 PRECONDITION_FAILED")
        assert "'x-max-priority'" in line

    def test_an_exchange_type_the_broker_lacks(self, broker: Broker) -> None:
        exchange = Exchange("x", "x-unheard-of")
        line = _refused(broker.url, DeclarationRefused, Topology("t", exchanges={"x": exchange}))
        assert "exchange `x`" in line
        assert "unknown exchange type 'x-unheard-of'" in line

    def test_the_virtual_host_of_the_file_and_of_the_url_must_agree(self, broker: Broker) -> None:
        line = _refused(broker.url, VhostMismatch, Topology("t", vhost="elsewhere"))
        assert line == (
            f"the topology names virtual host `elsewhere` and the broker URL `{broker.vhost}`"
        )
        assert apply_topology(Topology("t", vhost=broker.vhost), broker.url)


class TestTheWayToTheBroker:
    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        line = _refused(f"amqp://u:secret@127.0.0.1:{port}//", Unreachable)
        assert line == f"127.0.0.1:{port} cannot be reached: Connection refused"

    def test_no_such_name(self) -> None:
        line = _refused("amqp://u:secret@no.such.host.invalid//", Unreachable)
        assert line.startswith("no.such.host.invalid:5672 cannot be reached: ")

    @pytest.mark.parametrize("drip", [0.0, 0.3], ids=["silent", "dripping"])
    def test_a_server_that_says_too_little(self, server: Callable[..., int], drip: float) -> None:
        # The header of a frame that never ends, a byte at a time, or not even that.
        port = server(b"\x01\0\0\0\0\xff\xff" + bytes(60) if drip else b"", drip=drip)
        started = time.monotonic()
        line = _refused(f"amqp://u:secret@127.0.0.1:{port}//", Unreachable, timeout=1)
        assert time.monotonic() - started < 9
        assert line == f"127.0.0.1:{port} does not answer within 1 s"

    @pytest.mark.parametrize(
        "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00", b""]
    )
    def test_another_protocol(self, server: Callable[..., int], answer: bytes) -> None:
        port = server(answer, close=True)
        line = _refused(f"amqp://u:secret@127.0.0.1:{port}//", NotABroker)
        assert line.startswith(f"127.0.0.1:{port} closes the connection instead of speaking AMQP")

    @pytest.mark.broker
    def test_tls_to_a_port_without(self, rabbitmq: RabbitMQ) -> None:
        line = _refused(f"amqps://u:secret@127.0.0.1:{rabbitmq.port}//", NotABroker)
        assert "does not speak TLS as expected" in line

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "localhost",
            "guest:secret@localhost:5672",
            "amqp://guest:se/secret@localhost:5672//",
            "amqp://guest:secret@localhost:99999//",
            "amqp://guest:secret@[::1",
            "http://guest:secret@localhost",
            "://guest:secret@localhost",
            "guest:secret@localhost://",
            "amqp://guest:12/secret@localhost//",
            "amqp://guest:12#secret@localhost//",
        ],
    )
    def test_a_url_that_cannot_be_read(self, url: str) -> None:
        _refused(url, InvalidUrl)


@pytest.mark.broker
class TestLostHalfWay:
    def test_what_was_done_is_said_and_a_rerun_completes(
        self, broker: Broker, media: Topology, road: Callable[..., Any], declared: Any
    ) -> None:
        places = set()
        for after in range(450, 1150, 35):
            way = road(broker.node.port, after)
            url = f"amqp://guest:guest@127.0.0.1:{way.port}/{broker.vhost}"
            with suppress(NotABroker):  # cut before the broker had opened the virtual host
                try:
                    done = apply_topology(media, url)
                except ConnectionLost as error:
                    done = error.applied
                    places.add(len(done.created))
                there = declared(broker)
                # At least what is said was done; the change under way may have been, too.
                assert {*done.queues} <= {row["name"] for row in there["queues"]}
                assert {*done.exchanges} <= {row["name"] for row in there["exchanges"]}
                assert len(done.bindings) <= len(there["bindings"])
            apply_topology(media, broker.url)
            assert not apply_topology(media, broker.url).created
            for name in media.queues:
                broker.node.api("DELETE", f"/queues/{broker.vhost}/{name}")
            for name in media.exchanges:
                broker.node.api("DELETE", f"/exchanges/{broker.vhost}/{name}")
        assert len(places) > 4, "the connection was to be cut at several places"

    def test_closed_by_the_operator(self, broker: Broker) -> None:
        topology = Topology("t", queues={f"q{n}": Queue(f"q{n}") for n in range(5)})

        def close(phase: str, done: int, _total: int) -> None:
            if (phase, done) == ("apply", 3):
                broker.node.close_connections(broker.vhost)

        with pytest.raises(ConnectionLost) as caught:
            apply_topology(topology, broker.url, on_step=close)
        assert caught.value.applied.queues == ("q0", "q1", "q2")
        assert str(caught.value) == (
            "the connection was lost at queue `q3`, and running again does the rest: "
            "maintenance; before that: created 3 queues"
        )
        assert apply_topology(topology, broker.url).queues == ("q3", "q4")

    def test_a_broker_that_falls_silent(
        self, broker: Broker, media: Topology, road: Callable[..., Any]
    ) -> None:
        way = road(broker.node.port, 700, silent=True)
        url = f"amqp://guest:guest@127.0.0.1:{way.port}/{broker.vhost}"
        started = time.monotonic()
        with pytest.raises(ConnectionLost, match="does not answer any more"):
            apply_topology(media, url, timeout=1)
        assert time.monotonic() - started < 9


def _user(broker: Broker, name: str, permissions: dict[str, str] | None) -> None:
    broker.node.api("PUT", f"/users/{name}", {"password": "secret", "tags": ""})
    if permissions:
        broker.node.api("PUT", f"/permissions/{broker.vhost}/{name}", permissions)
