"""Opens sessions with brokers. Slow questions to the management API are asked before all else.

Python takes as long to import what speaks AMQP as a broker takes to list what it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from routewright.compiler.broker.errors import BrokerError, InvalidUrl, NotABroker, Unsupported
from routewright.compiler.broker.inspect import look
from routewright.compiler.broker.management import Address, Management, address
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.runtime.connect.background import in_background

if TYPE_CHECKING:
    from routewright.compiler.broker.session import Session


@contextmanager
def open_session(
    url: str,
    timeout: float,
    management: str | None = None,
    vhost: str | None = None,
    *,
    looking: bool = False,
) -> Iterator[Session]:
    """Opens a session with a broker that speaks AMQP.

    Args:
        url: the broker's.
        timeout: seconds to connect in, and to wait for each answer.
        management: the URL of its management API; guessed from the broker's unless given.
        vhost: the virtual host that the broker's URL must name, if any.
        looking: start to read all there is at once, while the connection is being opened.

    Raises:
        BrokerError: it cannot be reached; or its management API cannot, and was given.
    """
    with ExitStack() as stack:
        asked = None
        if vhost is not None:
            with suppress(InvalidUrl):  # what is wrong with the broker's URL is said first
                asked = _asked(stack, address(url, vhost, management), timeout, looking=looking)
        from routewright.compiler.broker import connect  # noqa: PLC0415
        from routewright.compiler.broker.session import session  # noqa: PLC0415

        connection = connect.parsed(url, timeout, vhost)
        if not connect.is_amqp(connection):
            raise Unsupported(f"the transport `{connection.transport_cls}` cannot be planned for")
        if asked is None:
            where = address(url, connection.virtual_host, management)
            asked = _asked(stack, where, timeout, looking=looking)
        stack.enter_context(connect.opened(connection, timeout))
        asked, why = _confirmed(asked, connection)
        another = partial(connect.connect, url, timeout, vhost)
        api, looks = (asked.api, asked.looks) if asked else (None, [])
        yield session(connection, another, api, looks, why)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A management API, and the answers that it is preparing."""

    api: Management
    cluster: Callable[[], Any]
    policies: Callable[[], Any]
    looks: list[Callable[[], VirtualHost]]


def _asked(
    stack: ExitStack, where: Address | None, timeout: float, *, looking: bool
) -> _Asked | None:
    if where is None:
        return None
    api = stack.enter_context(Management(where, timeout))
    looks: list[Callable[[], VirtualHost]] = []
    if looking:
        looks.append(in_background(partial(look, api)).result)
    cluster = in_background(partial(api.get, "cluster-name"))
    policies = in_background(partial(api.of_vhost, "policies"))
    return _Asked(api, cluster.result, policies.result, looks)


def _confirmed(asked: _Asked | None, connection: Any) -> tuple[_Asked | None, str]:
    """Returns the API if it may be used, and otherwise why it is not; one that was given must be.

    Raises:
        BrokerError: it was given, and is not the broker's or may not be asked.
    """
    if asked is None:
        return None, "no management API is known (--management URL)"
    try:
        _check(asked, connection)
    except BrokerError as error:
        if not asked.api.where.guessed:
            raise
        return None, str(error)
    return asked, ""


def _check(asked: _Asked, connection: Any) -> None:
    """See that the API is the broker's, and may be asked about the virtual host."""
    answer = asked.cluster()
    theirs = answer.get("name") if isinstance(answer, dict) else None
    ours = connection.connection.server_properties.get("cluster_name")
    if ours is not None and theirs != ours:
        where = asked.api.where
        raise NotABroker(f"{where} is that of another broker: `{theirs}` and not `{ours}`")
    asked.policies()
