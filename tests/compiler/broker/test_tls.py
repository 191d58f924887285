"""Commands know a broker over TLS by its certificate: of a trusted authority, and for its host."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from private_nodes.tls import TlsRabbitMQ
from terminal import routewright
from tls_options import REFUSED

from routewright.compiler.broker.errors import BrokerError, CertificateRefused, InvalidUrl
from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import Queue, Topology

ROOT = Path(__file__).parents[3]
ONE = Topology("t", queues={"q": Queue("q")})
ANOTHER_HOST = "has a certificate that is not for `localhost`"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with the guide's topology."""
    (tmp_path / "topology.yaml").write_text((ROOT / "topology.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return routewright


@pytest.mark.parametrize("query", ["", "?ssl=true"])
@pytest.mark.parametrize(
    "command", [["compile", "--apply"], ["plan"], ["parked", "list"]], ids=" ".join
)
@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_host_is_refused_by_commands(
    misnamed_rabbitmq: TlsRabbitMQ, run: Run, command: list[str], query: str
) -> None:
    result = run(*command, "--broker", misnamed_rabbitmq.tls_url("localhost") + query)
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith("routewright: ")
    assert ANOTHER_HOST in line
    assert ":guest@" not in line
    assert "video" not in [row["name"] for row in misnamed_rabbitmq.list_queues()]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("query", ["", "?ssl=true"])
@pytest.mark.usefixtures("trusted")
def test_the_certificate_of_the_host_is_accepted_by_commands(
    tls_rabbitmq: TlsRabbitMQ, run: Run, host: str, query: str
) -> None:
    result = run("compile", "--apply", "--broker", tls_rabbitmq.tls_url(host) + query)
    assert result.returncode == 0, result.stderr
    assert {"video", "image"} <= {str(row["name"]) for row in tls_rabbitmq.list_queues()}


def test_a_certificate_of_an_unknown_authority_is_refused_by_commands(
    tls_rabbitmq: TlsRabbitMQ, run: Run
) -> None:
    result = run("compile", "--apply", "--broker", tls_rabbitmq.tls_url("localhost"))
    assert result.returncode == 2
    assert "has a certificate that is not trusted: " in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("trusted")
def test_each_host_of_several_is_verified_by_its_own_name(
    tls_rabbitmq: TlsRabbitMQ,
    misnamed_rabbitmq: TlsRabbitMQ,
) -> None:
    with socket.socket() as claim:
        claim.bind(("127.0.0.1", 0))
        # The certificate of the second is for the host that the first names.
        first = f"amqps://127.0.0.2:{claim.getsockname()[1]}"
        with pytest.raises(CertificateRefused, match=ANOTHER_HOST):
            apply_topology(ONE, f"{first};{misnamed_rabbitmq.tls_url('localhost')}")
    several = f"{misnamed_rabbitmq.tls_url('localhost')};{tls_rabbitmq.tls_url('localhost')}"
    apply_topology(ONE, several)
    assert "q" in [row["name"] for row in tls_rabbitmq.list_queues()]


@pytest.mark.parametrize(("option", "said"), REFUSED)
@pytest.mark.parametrize("url", ["{}", "amqp://localhost;{}"])
def test_an_option_that_a_url_cannot_have_is_named(option: str, said: str, url: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        apply_topology(ONE, url.format(f"amqps://guest:secret@localhost//?{option}"))
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "memory://localhost?ca_certs=ca.pem",
        "rediss://:secret@localhost?ca_certs=ca.pem",
        "rediss://:secret@localhost?ssl_cert_reqs=perhaps",
        "rediss://:secret@localhost?ssl=true&ssl_ca_certs=ca.pem",
        "amqp://localhost;amqps://guest:secret@localhost:99999//",
    ],
)
def test_any_other_trouble_with_a_url_is_one_line(url: str) -> None:
    with pytest.raises(BrokerError) as caught:
        apply_topology(ONE, url, timeout=2)
    assert type(caught.value) is InvalidUrl
    assert "secret" not in str(caught.value)


def test_a_command_has_one_line_for_an_option_that_a_url_cannot_have(run: Run) -> None:
    url = "amqps://guest:secret@localhost//?ca_certs=ca.pem"
    result = run("compile", "--apply", "--broker", url)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "`ca_certs`" in result.stderr
    assert "secret" not in result.stderr
