"""The broker an app talks to: opening connections to it, and naming it without its password."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import monotonic, sleep
from typing import Any, TypeVar

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed
from kombu.connection import Connection
from kombu.exceptions import KombuError

from routewright.runtime.connect.backoff import Backoff
from routewright.runtime.connect.connections import open_within
from routewright.runtime.connect.tls import VerifiedConnection
from routewright.runtime.connect.urls import (
    alternatives,
    has_scheme,
    url_problem,
    without_password,
)
from routewright.runtime.errors import BrokerUnreachable, InvalidOption, LoginRefused
from routewright.runtime.messages.short_repr import in_line

PAUSES = (0.05, 0.5)  # seconds between two attempts at connecting: at first, and at most
SILENCE = 10.0  # seconds; how long a broker may take over one answer before it counts as gone
FOREVER = 2**31  # seconds; more than a socket takes
POLLING = 0.005  # seconds between two looks into an empty queue of the in-memory transport

T = TypeVar("T")

logger = logging.getLogger("routewright.broker")

#: What py-amqp and kombu raise for a connection that is gone. py-amqp's AttributeError comes from
#: using a connection that another call has found dead.
LOST = (OSError, AMQPError, KombuError, AttributeError)


class LinkLost(Exception):
    """A connection broke in use; what was under way may or may not have happened."""


class Objection(LinkLost):
    """The broker closed a channel or a connection over a message that was on it."""

    def __init__(self, cause: AMQPError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Broker:
    """A broker URL, and how to connect to it. kombu reads the URL and does failover and TLS.

    Args:
        url: as kombu takes it; several, separated by `;`, are tried in turn.
        vhost: the virtual host the topology was compiled for, or None for any.
        connect_timeout: seconds that connecting may take: all the URLs, their look-up and, for a
            send, every further attempt.
        retry_budget: seconds that a send goes on trying after a connection was lost.
        ssl: kombu's `ssl`, for what an `amqps:` URL cannot say. Unless it says otherwise, each
            host must have a trusted certificate that is for its name.

    Raises:
        InvalidOption: the URL cannot be read, names another virtual host, or has an option that it
            cannot have; a time is no number of seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        vhost: str | None = None,
        connect_timeout: float = 4.0,
        retry_budget: float = 10.0,
        ssl: bool | Mapping[str, Any] = False,
    ) -> None:
        self.connect_timeout = seconds("connect_timeout", connect_timeout)
        self.retry_budget = seconds("retry_budget", retry_budget)
        self._known = False  # whether there was ever a connection
        self._lost_at: float | None = None  # the first sign of trouble since there was one
        self._url = url
        self._ssl = ssl if isinstance(ssl, bool) else dict(ssl)
        _check(url)
        try:
            first = VerifiedConnection(url)
            self._hosts = max(len(first.alt), 1)
            self._driver: str = first.transport.driver_type
            vhosts = {VerifiedConnection(part).virtual_host for part in first.alt or [url]}
            self.name = without_password(first)
        except Exception as error:  # noqa: BLE001  a URL can be wrong in many ways
            # Neither the URL nor the cause's text is shown: either may hold the password.
            kind = type(error).__name__
            raise InvalidOption(f"the broker URL cannot be read ({kind})") from None
        if self.is_amqp and vhost is not None and vhosts != {vhost}:
            other = min(vhosts - {vhost})
            raise InvalidOption(
                f"the topology is for virtual host `{vhost}`, but {self.name} names `{other}`"
            )

    @property
    def is_amqp(self) -> bool:
        """True for a real AMQP broker, not one of kombu's virtual transports."""
        return self._driver == "amqp"

    def connect(
        self,
        timeout: float | None = None,
        *,
        heartbeat: float = 0,
        on_blocked: Callable[[bool], None] | None = None,
    ) -> Connection:
        """A new, established connection, after one attempt.

        Args:
            timeout: seconds it may take over all the URLs; `connect_timeout` unless it is given.
            heartbeat: seconds; 0 for none.
            on_blocked: is told when the broker blocks publishers, and when it no longer does.

        Raises:
            BrokerUnreachable: no host could be reached in time.
            LoginRefused: the broker refuses the user or the virtual host.
        """
        patience = self.connect_timeout if timeout is None else timeout
        options: dict[str, Any] = {  # kombu's own annotations are narrower than what it takes
            "ssl": self._ssl,
            "heartbeat": heartbeat,
            "connect_timeout": patience / self._hosts,
            "transport_options": self._transport_options(on_blocked),
        }
        try:
            connection = VerifiedConnection(self._url, **options)
            open_within(connection, patience)
        except Exception as error:
            text = str(error) or f"no answer in {patience:.3g} s"
            refused = isinstance(error.__cause__ or error, (AccessRefused, NotAllowed))
            kind = LoginRefused if refused else BrokerUnreachable
            raise kind(f"cannot connect to {self.name}: {text}") from error
        self._known, self._lost_at = True, None
        return connection

    def persist(self, connect_timeout: float | None, attempt: Callable[[float], T]) -> T:
        """Attempt something that connects, again and again, until a send has no time left for it.

        That is `connect_timeout`; if it is None, the broker's own, or, where there was a connection
        before, what is left of the retry budget since the first sign of trouble, if that is more.

        Args:
            connect_timeout: seconds.
            attempt: is given the seconds that are left.

        Raises:
            BrokerUnreachable: what the last attempt raised.
            LoginRefused: at once, for it would not help to ask again.
        """
        started = monotonic()
        backoff = Backoff(*PAUSES)
        while True:
            try:
                left = self._deadline(started, connect_timeout) - monotonic()
                return attempt(max(left, backoff.pause))  # a machine under load may oversleep
            except LoginRefused:
                raise
            except BrokerUnreachable:
                self.lost()
                if monotonic() + backoff.pause >= self._deadline(started, connect_timeout):
                    raise
            sleep(backoff.pause)
            backoff.lengthen()

    def _deadline(self, started: float, connect_timeout: float | None) -> float:
        if connect_timeout is not None:
            return started + connect_timeout
        lost_at = self._lost_at  # another thread may have found out meanwhile
        end = started + self.connect_timeout
        return end if lost_at is None else max(end, lost_at + self.retry_budget)

    def lost(self) -> None:
        """A broker that was there may not be: until it is again, sends are more patient."""
        if self._known and self._lost_at is None:
            self._lost_at = monotonic()

    def _transport_options(self, on_blocked: Callable[[bool], None] | None) -> dict[str, Any]:
        if self.is_amqp:
            watching = {
                "on_blocked": lambda _reason: on_blocked and on_blocked(True),
                "on_unblocked": lambda: on_blocked and on_blocked(False),
            }
            return {
                "read_timeout": SILENCE,
                "write_timeout": SILENCE,
                "frame_handler": forgiving_frame_handler,
                **watching,
            }
        return {"polling_interval": POLLING} if self._driver == "memory" else {}


def seconds(name: str, value: object) -> float:
    """A time in seconds, which an option of that name has.

    Raises:
        InvalidOption: it is no positive number.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < FOREVER:
        return value
    raise InvalidOption(f"{name} is a number of seconds, more than 0, not {value!r}")


def _check(url: str) -> None:
    """Refuses a URL with unknown options, or that kombu would misread and show the password of."""
    if not all(has_scheme(one) for one in alternatives(url)):
        raise InvalidOption("the broker URL (or one of its alternatives) has no scheme, amqp://")
    if problem := url_problem(url):
        raise InvalidOption(problem)


def forgiving_frame_handler(connection: Any, callback: Callable[..., None]) -> Any:
    """py-amqp's frame handler, for which unreadable properties are no properties.

    A timestamp in milliseconds is a year that Python has not; py-amqp raises from the middle of
    reading, and the broker delivers the message to the next worker, and so on without end.
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
