"""Opens connections within a bounded time, and lets go of them: in order, at once, or in a fork."""

from __future__ import annotations

import logging
from typing import Any

import amqp
from kombu.connection import Connection

from routewright.runtime.connect.background import bounded
from routewright.runtime.connect.tls import distrust
from routewright.runtime.connect.urls import address_of

logger = logging.getLogger("routewright.broker")


class CertificateDistrusted(ConnectionError):
    """The certificate of a host is of no trusted authority, or is for another host."""


def open_within(connection: Connection, seconds: float) -> None:
    """Opens a connection by one attempt at each of its URLs in turn.

    The attempts run in a thread of their own: nothing else bounds the look-up of a name, or a
    server that sends a byte now and then.

    Raises:
        TimeoutError: none of the URLs answered in time. A connection that opens later is discarded.
        CertificateDistrusted: the message names the host and the problem.
        Exception: kombu's or py-amqp's, if every attempt failed.
    """
    bounded(lambda: _attempt(connection), seconds, discard)


def _attempt(connection: Connection) -> Connection:
    attempts = max(len(connection.alt or ()), 1)
    try:
        connection.ensure_connection(max_retries=attempts - 1, interval_start=0, interval_step=0)
    except BaseException as error:
        discard(connection)
        if problem := distrust(error):
            raise CertificateDistrusted(f"{address_of(connection)} {problem}") from error
        raise
    return connection


def discard(connection: Connection) -> None:
    """Drops a connection that may be broken, without a word to the broker."""
    try:
        connection.collect()
    except Exception:
        logger.debug("discarding a connection failed", exc_info=True)


def close(connection: Connection) -> None:
    """Closes a sound connection in order; failing that, discards it."""
    try:
        inner = connection.connection if connection.connected else None
        connection.release()
        if isinstance(inner, amqp.Connection):
            inner.collect()  # py-amqp keeps the socket if anything but the close-ok arrives
    except Exception:
        logger.debug("closing a connection failed", exc_info=True)
        discard(connection)


def abandon(connection: Any) -> None:
    """Lets go of a connection inherited by a fork.

    It is the parent's: only this process's file descriptor is closed, and nothing is sent.
    (py-amqp's own `collect` shuts the socket down, for both processes.)
    """
    transport = getattr(connection, "transport", None)
    sock = getattr(transport, "sock", None)
    if transport is not None and sock is not None:
        sock.close()
        transport.sock = None
        transport.connected = False
