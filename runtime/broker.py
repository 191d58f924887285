"""The broker an app talks to: opening connections to it, and naming it without its password."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import amqp
from amqp.exceptions import AccessRefused, AMQPError, NotAllowed
from kombu.connection import Connection
from kombu.exceptions import KombuError

from routewright.runtime.brief import in_line
from routewright.runtime.errors import BrokerUnreachable, InvalidOption, LoginRefused

SILENCE = 10.0  # seconds; how long a broker may take over one answer before it counts as gone
POLLING = 0.005  # seconds between two looks into an empty queue of the in-memory transport

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# An "@" after the authority: a password holds a bare "/", "?" or "#", and would end up elsewhere.
_STRAY_AT = re.compile(r"[^:]+://[^/?#]*[/?#].*@", re.DOTALL)

logger = logging.getLogger("routewright.broker")

#: What py-amqp and kombu raise for a connection that is gone. py-amqp's AttributeError comes from
#: using a connection that another call has found dead.
LOST = (OSError, AMQPError, KombuError, AttributeError)


class LinkLost(Exception):
    """A connection broke in use; what was under way may or may not have happened."""


class Broker:
    """A broker URL, and how to connect to it. kombu reads the URL and does failover and TLS.

    Args:
        url: as kombu takes it; several, separated by `;`, are tried in turn.
        vhost: the virtual host the topology was compiled for, or None for any.
        connect_timeout: seconds that one attempt at connecting may take, over all the URLs.
        ssl: kombu's `ssl`, for what an `amqps:` URL cannot say.

    Raises:
        InvalidOption: the URL cannot be read, or names another virtual host.
    """

    def __init__(
        self,
        url: str,
        *,
        vhost: str | None = None,
        connect_timeout: float = 4.0,
        ssl: bool | Mapping[str, Any] = False,
    ) -> None:
        self._url = url
        self._ssl = ssl if isinstance(ssl, bool) else dict(ssl)
        _check(url)
        try:
            first = Connection(url)
            self._hosts = max(len(first.alt), 1)
            self._driver: str = first.transport.driver_type
            vhosts = {Connection(part).virtual_host for part in first.alt or [url]}
            # The password is masked; where there is none, there is nothing to mask.
            self.name: str = first.as_uri().replace("://:**@", "://")
        except Exception as error:  # noqa: BLE001  a URL can be wrong in many ways
            # Neither the URL nor the cause's text is shown: either may hold the password.
            kind = type(error).__name__
            raise InvalidOption(f"the broker URL cannot be read ({kind})") from None
        self.connect_timeout = connect_timeout
        if self.is_amqp and vhost is not None and vhosts != {vhost}:
            other = min(vhosts - {vhost})
            raise InvalidOption(
                f"the topology is for virtual host `{vhost}`, but {self.name} names `{other}`"
            )

    @property
    def is_amqp(self) -> bool:
        """Whether it is a real AMQP broker, not one of kombu's virtual transports."""
        return self._driver == "amqp"

    def connect(
        self, *, heartbeat: float = 0, on_blocked: Callable[[str], None] | None = None
    ) -> Connection:
        """A new, established connection; `heartbeat` is in seconds, 0 for none.

        Raises:
            BrokerUnreachable: no host could be reached in time.
            LoginRefused: the broker refuses the user or the virtual host.
        """
        options: dict[str, Any] = {  # kombu's own annotations are narrower than what it takes
            "ssl": self._ssl,
            "heartbeat": heartbeat,
            "connect_timeout": self.connect_timeout / self._hosts,
            "transport_options": self._transport_options(on_blocked),
        }
        connection = Connection(self._url, **options)
        try:
            connection.ensure_connection(
                max_retries=self._hosts - 1, interval_start=0, interval_step=0
            )
        except Exception as error:
            discard(connection)
            text = str(error) or type(error).__name__
            refused = isinstance(error.__cause__ or error, (AccessRefused, NotAllowed))
            kind = LoginRefused if refused else BrokerUnreachable
            raise kind(f"cannot connect to {self.name}: {text}") from error
        return connection

    def _transport_options(self, on_blocked: Callable[[str], None] | None) -> dict[str, Any]:
        if self.is_amqp:
            return {
                "read_timeout": SILENCE,
                "write_timeout": SILENCE,
                "frame_handler": forgiving_frame_handler,
                "on_blocked": on_blocked,
            }
        return {"polling_interval": POLLING} if self._driver == "memory" else {}


def _check(url: str) -> None:
    """Refuse what kombu would read otherwise than it was meant, and so show the password."""
    for one in url.split(";"):
        if not _SCHEME.match(one):
            raise InvalidOption(
                "the broker URL (or one of its alternatives) has no scheme, amqp://"
            )
        if _STRAY_AT.match(one):
            raise InvalidOption(
                "the broker URL cannot be read; in a user name or password each of `:/?#[]@;` must"
                " be written as %XX"
            )


def discard(connection: Connection) -> None:
    """Drop a connection that may be broken, without a word to the broker."""
    try:
        connection.collect()
    except Exception:
        logger.debug("discarding a connection failed", exc_info=True)


def close(connection: Connection) -> None:
    """Close a sound connection in order; failing that, drop it."""
    try:
        inner = connection.connection if connection.connected else None
        connection.release()
        if isinstance(inner, amqp.Connection):
            inner.collect()  # py-amqp keeps the socket if anything but the close-ok arrives
    except Exception:
        logger.debug("closing a connection failed", exc_info=True)
        discard(connection)


def abandon(connection: Any) -> None:
    """Let go of a connection inherited by a fork.

    It is the parent's: only this process's file descriptor is closed, and nothing is sent.
    (py-amqp's own `collect` shuts the socket down, for both processes.)
    """
    transport = getattr(connection, "transport", None)
    sock = getattr(transport, "sock", None)
    if transport is not None and sock is not None:
        sock.close()
        transport.sock = None
        transport.connected = False


def forgiving_frame_handler(connection: Any, callback: Callable[..., None]) -> Any:
    """py-amqp's frame handler, for which unreadable properties are no properties.

    A timestamp in milliseconds is a year that Python has not; py-amqp raises from the middle of
    reading, and the broker delivers the message to the next worker, and so on for ever.
    """
    from amqp.method_framing import frame_handler  # noqa: PLC0415  only AMQP needs py-amqp's inside

    handle = frame_handler(connection, callback)

    def on_frame(frame: tuple[int, int, Any]) -> bool:
        kind, channel, payload = frame
        if kind != _HEADER_FRAME:
            return bool(handle(frame))
        try:
            return bool(handle(frame))
        except LOST:
            raise
        except Exception as error:  # noqa: BLE001  any of the property readers
            logger.warning("a message's properties cannot be read: %s", in_line(str(error)))
            return bool(handle((kind, channel, bytes(payload[:_SIZES]) + b"\0\0")))

    return on_frame


_HEADER_FRAME = 2
_SIZES = 12  # bytes: class, weight and body size; the property flags follow
