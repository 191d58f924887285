"""From a broker URL to a connection, within a bounded time, or to one clear error."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Thread
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
from routewright.runtime.transport.tls import (
    VerifiedConnection,
    address_of,
    distrust,
    option_problem,
)

_AMQP = ("amqp", "amqps", "pyamqp")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# An "@" after the authority: a password holds a bare "/", "?" or "#", and would end up elsewhere.
_STRAY_AT = re.compile(r"\w+://[^/?#]*[/?#].*@")
_UNREADABLE = (
    "the broker URL cannot be read; in a user name or password "
    "each of `:/?#[]@;` must be written as %XX"
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
    return connection.transport_cls in _AMQP


def speaks_amqp(url: str) -> bool:
    """Whether a URL is that of a broker that speaks AMQP, or would be if it could be read."""
    scheme, separator, _ = url.partition("://")
    return not separator or scheme in _AMQP


def _parse(url: str, timeout: float) -> Connection:
    scheme, separator, _ = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise InvalidUrl("the broker URL has no scheme, such as amqp://")
    if any(_STRAY_AT.match(one) for one in url.split(";")):
        raise InvalidUrl(_UNREADABLE)
    if problem := option_problem(url):
        raise InvalidUrl(problem)
    try:
        for each in url.split(";"):  # an alternative is read only when its turn comes
            VerifiedConnection(each)
        connection = VerifiedConnection(url, connect_timeout=timeout)
        connection.transport  # noqa: B018 - looks the transport up, and imports it
    except ValueError:  # whose message may quote a part of the password
        raise InvalidUrl(_UNREADABLE) from None
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
    """Connect in a thread of its own.

    Nothing else bounds the look-up of a name, nor a server that sends a byte now and then.
    """
    outcome: SimpleQueue[BaseException | None] = SimpleQueue()
    too_late = Event()
    attempts = max(len(connection.alt or ()), 1)

    def attempt() -> None:
        try:
            connection.ensure_connection(
                max_retries=attempts - 1, interval_start=0, interval_step=0
            )
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            outcome.put(error)
        else:
            outcome.put(None)
            if too_late.is_set():
                connection.collect()

    Thread(target=attempt, name="routewright-connect", daemon=True).start()
    try:
        error = outcome.get(timeout=timeout)
    except Empty:
        too_late.set()
        raise _explained(TimeoutError(), connection, timeout) from None
    if error is not None:
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
    if problem := distrust(error):
        return CertificateRefused(f"{address} {problem}")
    match error:
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
