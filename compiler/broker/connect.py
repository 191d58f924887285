"""From a broker URL to a connection, within a bounded time, or to one clear error."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import AccessRefused, AMQPError, InternalError, NotAllowed
from kombu.connection import Connection
from kombu.exceptions import OperationalError

from routewright.compiler.broker.errors import (
    BrokerError,
    CertificateRefused,
    ConnectionLost,
    CredentialsRefused,
    InvalidUrl,
    NotABroker,
    Unreachable,
    VhostMismatch,
    VhostRefused,
)
from routewright.runtime.connect.connections import CertificateDistrusted, open_within
from routewright.runtime.connect.tls import VerifiedConnection
from routewright.runtime.connect.urls import (
    AMQP,
    UNREADABLE,
    address_of,
    alternatives,
    has_scheme,
    url_problem,
)


@contextmanager
def connect(url: str, timeout: float, vhost: str | None = None) -> Iterator[Connection]:
    """An open connection to a broker; it is closed afterwards.

    Args:
        url: the broker's, as kombu reads it.
        timeout: seconds that name look-up, connecting and logging in may take together, and
            seconds that each answer may take later.
        vhost: the virtual host that an AMQP URL must name, if any.

    Raises:
        BrokerError: with a message of one line, which never holds the password.
    """
    with opened(parsed(url, timeout, vhost), timeout) as connection:
        yield connection


def parsed(url: str, timeout: float, vhost: str | None = None) -> Connection:
    """A connection that is not opened yet; arguments as of `connect`.

    Raises:
        BrokerError: the URL cannot be read, or is not that of the virtual host.
    """
    connection = _parse(url, timeout)
    if vhost is not None and is_amqp(connection) and connection.virtual_host != vhost:
        message = (
            f"the topology names virtual host `{vhost}` "
            f"and the broker URL `{connection.virtual_host}`"
        )
        raise VhostMismatch(message)
    return connection


@contextmanager
def opened(connection: Connection, timeout: float) -> Iterator[Connection]:
    """Open a connection, and close it afterwards.

    Raises:
        BrokerError: it cannot be opened in time.
    """
    _open(connection, timeout)
    try:
        yield connection
    except ConnectionLost:
        connection.collect()  # no farewell to a broker that does not listen
        raise
    finally:
        connection.release()


def is_amqp(connection: Connection) -> bool:
    """Whether the broker speaks AMQP; to all other transports kombu plays the broker itself."""
    return connection.transport_cls in AMQP


def speaks_amqp(url: str) -> bool:
    """Whether a URL is that of a broker that speaks AMQP, or would be if it could be read."""
    scheme, separator, _ = url.partition("://")
    return not separator or scheme in AMQP


def _parse(url: str, timeout: float) -> Connection:
    if not has_scheme(url):
        raise InvalidUrl("the broker URL has no scheme, such as amqp://")
    if problem := url_problem(url):
        raise InvalidUrl(problem)
    scheme = url.partition("://")[0]
    try:
        for each in alternatives(url):  # an alternative is read only when its turn comes
            VerifiedConnection(each)
        connection = VerifiedConnection(url, connect_timeout=timeout)
        connection.transport  # noqa: B018 - looks the transport up, and imports it
    except ValueError:  # whose message may quote a part of the password
        raise InvalidUrl(UNREADABLE) from None
    except TypeError:
        raise InvalidUrl(f"the broker URL has an option that `{scheme}:` does not take") from None
    except KeyError:
        raise InvalidUrl(f"the broker URL has an unknown scheme: `{scheme}://`") from None
    except ImportError as error:
        message = f"the transport `{scheme}://` needs a module that is not installed: {error.name}"
        raise InvalidUrl(message) from error
    if connection.transport_cls in ("redis", "rediss"):
        limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
        connection.transport_options = {**(connection.transport_options or {}), **limits}
    return connection


def _open(connection: Connection, timeout: float) -> None:
    try:
        open_within(connection, timeout)
    except Exception as error:
        raise _explained(error, connection, timeout) from error
    if is_amqp(connection):
        established: Any = connection.connection
        established.transport.sock.settimeout(timeout)


def _explained(error: BaseException, connection: Connection, timeout: float) -> BaseException:
    """The error a person can act on; what is none of the broker's comes back as it was."""
    if isinstance(error, OperationalError) and error.__cause__:
        error = error.__cause__
    address = address_of(connection)
    user = connection.userid or "guest"
    text = getattr(error, "strerror", None) or getattr(error, "reply_text", None) or str(error)
    reason = text.partition(" - ")[2] or text
    kind: type[BrokerError] = Unreachable
    match error:
        case CertificateDistrusted():
            return CertificateRefused(str(error))
        case AccessRefused():
            kind, message = CredentialsRefused, f"refuses user `{user}` or the password"
        case NotAllowed() | InternalError():  # the latter where the virtual host is down
            kind = VhostRefused
            message = f"does not let user `{user}` into `{connection.virtual_host}`: {reason}"
        case TimeoutError():
            message = f"does not answer within {timeout:g} s"
        case ssl.SSLError():
            kind, message = NotABroker, f"does not speak TLS as expected: {reason}"
        case AMQPError():
            kind, message = NotABroker, f"does not speak AMQP as expected: {reason}"
        case OSError() if _closed(error):
            kind, message = NotABroker, "closes the connection instead of speaking AMQP"
        case _ if type(error).__name__ == "AuthenticationError":  # redis's
            kind, message = CredentialsRefused, f"refuses user `{user}` or the password"
        case _ if isinstance(error, (OSError, *connection.connection_errors)):
            message = f"cannot be reached: {reason}"
        case _:
            return error
    return kind(f"{address} {message}")


def _closed(error: OSError) -> bool:
    """Whether the other side hung up; py-amqp has no class for it."""
    return isinstance(error, ConnectionResetError | BrokenPipeError) or (
        "unexpectedly closed" in str(error)
    )
