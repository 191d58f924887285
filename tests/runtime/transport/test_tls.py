"""Over TLS a broker is known by its certificate: of a trusted authority, and for its host."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from private_nodes import Redis
from private_nodes.ports import Ports
from private_nodes.tls import Authority, TlsRabbitMQ
from tls_options import REFUSED
from waiting import Eventually

from routewright.runtime import BrokerUnreachable, InvalidOption
from routewright.runtime.errors import StoreUnreachable
from routewright.runtime.parking.parked_queue import ParkedQueue
from routewright.runtime.results.redis_store import RedisStore
from routewright.runtime.transport.broker import Broker

StartRedis = Callable[[Authority, str], str]
ANOTHER_HOST = "has a certificate that is not for `localhost`"


@pytest.fixture
def stage(memory: Any) -> Callable[..., Any]:
    """Declares the topology on a node and gives it, with an app that connects by a URL."""

    def start(node: TlsRabbitMQ, url: str, **options: Any) -> tuple[Any, Any]:
        memory.url = node.url()
        memory.declare()
        memory.url = url
        app = memory.app("double", connect_timeout=2.0, **options)
        app.task(name="double")(lambda number: 2 * number)
        memory.url = node.url()
        return memory, app

    return start


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as claim:
        claim.bind(("127.0.0.1", 0))
        yield claim.getsockname()[1]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("query", ["", "?ssl=true"])
@pytest.mark.usefixtures("trusted")
def test_the_certificate_of_the_host_is_accepted(
    tls_rabbitmq: TlsRabbitMQ, stage: Any, host: str, query: str
) -> None:
    stage, app = stage(tls_rabbitmq, tls_rabbitmq.tls_url(host) + query)
    with stage.worker(app):
        assert app.send_task("double", [21]).get(timeout=120) == 42
    connection = app.broker.connect()
    assert connection.connection.transport.sock.server_hostname == host
    connection.release()


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_host_is_refused_by_sends(
    misnamed_rabbitmq: TlsRabbitMQ, stage: Any
) -> None:
    stage, app = stage(misnamed_rabbitmq, misnamed_rabbitmq.tls_url("localhost"))
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST) as caught:
        app.send_task("double", [21], ignore_result=True)
    assert ":guest@" not in str(caught.value)
    assert stage.waiting() == 0


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_address_is_refused_by_sends(
    misnamed_rabbitmq: TlsRabbitMQ, stage: Any
) -> None:
    _, app = stage(misnamed_rabbitmq, misnamed_rabbitmq.tls_url("127.0.0.1"))
    with pytest.raises(
        BrokerUnreachable, match=r"has a certificate that is not for `127\.0\.0\.1`"
    ):
        app.send_task("double", [21], ignore_result=True)


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_host_is_refused_by_waits_for_results(
    misnamed_rabbitmq: TlsRabbitMQ, stage: Any
) -> None:
    _, app = stage(misnamed_rabbitmq, misnamed_rabbitmq.tls_url("localhost"))
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
        app.send_task("double", [21])


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_host_is_refused_by_workers(
    misnamed_rabbitmq: TlsRabbitMQ,
    stage: Any,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    stage, app = stage(misnamed_rabbitmq, misnamed_rabbitmq.tls_url("localhost"))
    with stage.worker(app):
        eventually(lambda: ANOTHER_HOST in caplog.text or "connected to" in caplog.text)
    assert ANOTHER_HOST in caplog.text
    assert "connected to" not in caplog.text
    assert ":guest@" not in caplog.text


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_host_is_refused_by_parked_queues(
    misnamed_rabbitmq: TlsRabbitMQ,
) -> None:
    parked = ParkedQueue(Broker(misnamed_rabbitmq.tls_url("localhost")), "t.parked")
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
        parked.count()


def test_a_certificate_of_an_unknown_authority_is_refused(tls_rabbitmq: TlsRabbitMQ) -> None:
    broker = Broker(tls_rabbitmq.tls_url("localhost"))
    with pytest.raises(BrokerUnreachable, match="has a certificate that is not trusted: "):
        broker.connect()


@pytest.mark.usefixtures("trusted")
def test_each_host_of_several_is_verified_by_its_own_name(
    tls_rabbitmq: TlsRabbitMQ, misnamed_rabbitmq: TlsRabbitMQ, nobody: int
) -> None:
    # The first names a host that the certificate of the second is for.
    first = f"amqps://127.0.0.2:{nobody}"
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
        Broker(f"{first};{misnamed_rabbitmq.tls_url('localhost')}").connect()
    for before in (first, misnamed_rabbitmq.tls_url("localhost")):
        connection: Any = Broker(f"{before};{tls_rabbitmq.tls_url('localhost')}").connect()
        assert connection.port == tls_rabbitmq.tls_port
        assert connection.connection.transport.sock.server_hostname == "localhost"
        connection.release()


@pytest.mark.usefixtures("trusted")
def test_an_option_of_the_url_does_not_undo_the_verification(
    tls_rabbitmq: TlsRabbitMQ,
    misnamed_rabbitmq: TlsRabbitMQ,
) -> None:
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
        Broker(misnamed_rabbitmq.tls_url("localhost") + "?ssl=true").connect()
    plain = misnamed_rabbitmq.tls_url("localhost").replace("amqps:", "amqp:")
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
        Broker(f"{plain}?ssl=true").connect()
    url = tls_rabbitmq.tls_url("localhost") + "?ssl=true"
    with pytest.raises(BrokerUnreachable, match=r"has a certificate that is not for `b\.example`"):
        Broker(url, ssl={"server_hostname": "b.example"}).connect()


@pytest.mark.parametrize(
    "options",
    [
        {"server_hostname": "other.example"},
        {"check_hostname": False},
        {"cert_reqs": ssl.CERT_NONE},
        {"cert_reqs": ssl.CERT_NONE, "server_hostname": "b.example"},
        {"context": {"check_hostname": False}},
    ],
)
@pytest.mark.parametrize("query", ["", "?ssl=true"])
@pytest.mark.usefixtures("trusted")
def test_what_an_app_says_of_verification_counts(
    misnamed_rabbitmq: TlsRabbitMQ, options: dict[str, Any], query: str
) -> None:
    broker = Broker(misnamed_rabbitmq.tls_url("localhost") + query, ssl=options)
    connection = broker.connect()
    assert connection.connected
    connection.release()


@pytest.mark.parametrize("option", [True, {"server_hostname": None}, {"context": {"cafile": None}}])
@pytest.mark.usefixtures("trusted")
def test_an_app_that_says_nothing_of_host_names_verifies_them(
    misnamed_rabbitmq: TlsRabbitMQ, option: Any
) -> None:
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
        Broker(misnamed_rabbitmq.tls_url("localhost"), ssl=option).connect()


def test_an_app_may_name_the_authorities_that_it_trusts(
    tls_rabbitmq: TlsRabbitMQ, misnamed_rabbitmq: TlsRabbitMQ, authority: Authority
) -> None:
    options = {"ca_certs": str(authority.file)}
    Broker(tls_rabbitmq.tls_url("localhost"), ssl=options).connect().release()
    with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
        Broker(misnamed_rabbitmq.tls_url("localhost"), ssl=options).connect()


@pytest.mark.parametrize(("option", "said"), REFUSED)
@pytest.mark.parametrize("url", ["{}", "amqp://localhost;{}"])
def test_an_option_that_a_url_cannot_have_is_named(option: str, said: str, url: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        Broker(url.format(f"amqps://guest:secret@localhost//?{option}"))
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.fixture
def tls_redis(private_redis: Callable[..., Redis]) -> Iterator[StartRedis]:
    """Starts a Redis with a certificate for a name; its URL by the name `localhost`."""
    ports = Ports(1)
    [port] = ports.numbers

    def start(authority: Authority, name: str) -> str:
        certificate, key = authority.certify(name)
        files: dict[str, Path] = {"cert": certificate, "key": key, "ca-cert": authority.file}
        options = [it for kind, file in files.items() for it in (f"--tls-{kind}-file", str(file))]
        private_redis("--tls-port", str(port), "--tls-auth-clients", "no", *options)
        return f"rediss://localhost:{port}/0"

    yield start
    ports.close()


def test_redis_with_the_certificate_of_its_host_is_accepted(
    trusted: Authority, tls_redis: StartRedis
) -> None:
    url = tls_redis(trusted, "localhost")
    RedisStore(url).ping()
    for query in ("", "?ssl=true"):
        connection: Any = Broker(url + query).connect()
        connection.channel().client.ping()
        connection.release()


def test_redis_with_a_certificate_for_another_host_is_refused(
    trusted: Authority, tls_redis: StartRedis
) -> None:
    url = tls_redis(trusted, "other.example")
    with pytest.raises(StoreUnreachable, match="not valid for 'localhost'"):
        RedisStore(url).ping()
    for query in ("", "?ssl=true", f"?ssl_ca_certs={trusted.file}"):
        with pytest.raises(BrokerUnreachable, match=ANOTHER_HOST):
            Broker(url + query).connect()


def test_redis_with_a_certificate_of_an_unknown_authority_is_refused(
    authority: Authority, tls_redis: StartRedis
) -> None:
    url = tls_redis(authority, "localhost")
    with pytest.raises(StoreUnreachable, match="certificate verify failed"):
        RedisStore(url).ping()
    with pytest.raises(BrokerUnreachable, match="has a certificate that is not trusted: "):
        Broker(url).connect()
    Broker(url + "?ssl_cert_reqs=none").connect().release()
    RedisStore(url + "?ssl_cert_reqs=none").ping()
