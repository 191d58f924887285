"""Gives tests real brokers: one node for each worker process, or one of a test's own."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NoReturn, TypeVar

import pytest
from hypothesis import settings
from private_nodes import Broker, Node, RabbitMQ, Redis, Release, trees
from private_nodes.tls import Authority, TlsRabbitMQ

# How long an example takes says more of the machine than of the code.
settings.register_profile("routewright", deadline=None)
settings.load_profile("routewright")

# A fixture that starts a server, and the mark that its tests carry.
_MARKS = {
    "rabbitmq": pytest.mark.broker,
    "private_rabbitmq": pytest.mark.broker,
    "fragile_rabbitmq": pytest.mark.broker,
    "plugged_rabbitmq": pytest.mark.broker,
    "newer_rabbitmq": pytest.mark.broker,
    "tls_rabbitmq": pytest.mark.broker,
    "misnamed_rabbitmq": pytest.mark.broker,
    "redis_server": pytest.mark.redis,
    "private_redis": pytest.mark.redis,
}
# Servers that few tests use. These tests run in one process, so that each server starts once.
_OF_ONE_PROCESS = {
    "fragile_rabbitmq": "fragile",
    "plugged_rabbitmq": "plugged",
    "tls_rabbitmq": "tls",
    "misnamed_rabbitmq": "tls",
}
_EXCHANGE_PLUGINS = (
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_sharding",
)
_MISSING = "is not installed here"

Some = TypeVar("Some", bound=Node)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """The node that tests share; never stop or starve it, see `private_rabbitmq`."""
    _need(RabbitMQ)
    with RabbitMQ() as node:
        yield node


@pytest.fixture(scope="session")
def plugged_rabbitmq() -> Iterator[RabbitMQ]:
    """A shared node with the plugins for exchanges that RabbitMQ ships."""
    _need(RabbitMQ)
    with RabbitMQ(plugins=_EXCHANGE_PLUGINS) as node:
        yield node


@pytest.fixture(scope="session", params=trees() or [None], ids=lambda it: it and it.version)
def newer_rabbitmq(request: pytest.FixtureRequest) -> Iterator[RabbitMQ]:
    """A shared node of RabbitMQ 4.0, and of each newer release that `trees.sh` has brought."""
    release: Release | None = request.param
    if release is None:
        _go_without(f"a tree of a newer RabbitMQ {_MISSING}")
    with RabbitMQ(release=release) as node:
        yield node


@pytest.fixture
def newer_broker(newer_rabbitmq: RabbitMQ) -> Iterator[Broker]:
    """A fresh virtual host on a newer release, deleted after the test."""
    with _fresh_vhost(newer_rabbitmq) as broker:
        yield broker


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Iterator[Broker]:
    """A fresh virtual host, deleted after the test."""
    with _fresh_vhost(rabbitmq) as broker:
        yield broker


@pytest.fixture
def private_rabbitmq() -> Iterator[Callable[..., RabbitMQ]]:
    """Starts nodes (arguments as for `RabbitMQ`) that the test may stop, kill or starve."""
    _need(RabbitMQ)
    with ExitStack() as nodes:
        yield lambda *config, **options: nodes.enter_context(RabbitMQ(*config, **options))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority, which nobody trusts unless told to."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority, which this process and its children trust for the test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    return authority


@pytest.fixture(scope="session")
def tls_rabbitmq(authority: Authority) -> Iterator[TlsRabbitMQ]:
    """A shared node with TLS, whose certificate is for `localhost` and `127.0.0.1`."""
    _need(RabbitMQ)
    with TlsRabbitMQ(authority, "localhost", "127.0.0.1") as node:
        yield node


@pytest.fixture(scope="session")
def misnamed_rabbitmq(authority: Authority) -> Iterator[TlsRabbitMQ]:
    """A shared node with TLS, whose certificate is for `other.example` and `127.0.0.2`."""
    _need(RabbitMQ)
    with TlsRabbitMQ(authority, "other.example", "127.0.0.2") as node:
        yield node


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The Redis server that tests share, with whatever keys others left there."""
    _need(Redis)
    yield from _started(Redis)


@pytest.fixture
def private_redis() -> Iterator[Callable[..., Redis]]:
    """Starts Redis servers (arguments as for `Redis`) that the test may stop or kill."""
    _need(Redis)
    with ExitStack() as servers:
        yield lambda *options: servers.enter_context(Redis(*options))


@pytest.fixture(scope="session")
def fragile_rabbitmq() -> Iterator[RabbitMQ]:
    """The node of `fragile_broker`."""
    _need(RabbitMQ)
    yield from _started(RabbitMQ)


@pytest.fixture
def fragile_broker(fragile_rabbitmq: RabbitMQ) -> Iterator[Broker]:
    """A fresh virtual host on a shared node that the test may stop, kill or starve."""
    if not fragile_rabbitmq.running:
        fragile_rabbitmq.start()
    yield Broker(fragile_rabbitmq, fragile_rabbitmq.fresh_vhost())
    if fragile_rabbitmq.running:
        fragile_rabbitmq.end_alarm()


@contextmanager
def _fresh_vhost(node: RabbitMQ) -> Iterator[Broker]:
    vhost = node.fresh_vhost()
    yield Broker(node, vhost)
    node.delete_vhost(vhost)


def _started(kind: Callable[[], Some]) -> Iterator[Some]:
    with kind() as node:
        yield node


def _need(node: type[Node]) -> None:
    if not node.installed():
        _go_without(f"{node.__name__} {_MISSING}")


def _go_without(reason: str) -> NoReturn:
    """Skips on a person's machine; fails in CI, where nobody reads skips."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests by their fixtures: those that start a node, and those of one process.

    `-m "not broker"` leaves out all that starts a node, whether or not it was marked by hand.
    """
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if fixture in _MARKS:
                item.add_marker(_MARKS[fixture])
        group = _group(item)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))


def _group(item: pytest.Item) -> str | None:
    """The tests that share what is expensive to make, for they should run in one process."""
    if not isinstance(item, pytest.Function):
        return None
    for fixture, group in _OF_ONE_PROCESS.items():
        if fixture in item.fixturenames:
            return group
    if "newer_rabbitmq" in item.fixturenames:
        return f"newer-{item.callspec.id}"
    definitions = item._fixtureinfo.name2fixturedefs.values()
    if any(each[-1].scope == "module" for each in definitions):
        return item.nodeid.partition("::")[0]
    return None


def pytest_report_header() -> str | None:
    seed = os.environ.get("ROUTEWRIGHT_SEED")
    return f"random cases of the marker `seeds`: ROUTEWRIGHT_SEED={seed}" if seed else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    without = sum(_MISSING in reason for reason in reasons)
    if without:
        terminalreporter.section("tests without a broker", yellow=True)
        terminalreporter.line(
            f"{without} tests were skipped: they need Debian's packages rabbitmq-server and "
            "redis-server, and a tree of a newer RabbitMQ, which `make test` brings when it runs "
            "as root."
        )
