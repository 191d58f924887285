"""A broker connection of the caller's own, to send several tasks on."""

from __future__ import annotations

import os
import threading
from typing import Self

from routewright.runtime.errors import BrokerUnreachable, InvalidOption
from routewright.runtime.sending.confirming_link import LinkSettings
from routewright.runtime.sending.links import Link, open_link
from routewright.runtime.transport.broker import Broker
from routewright.runtime.transport.pulse import Pulse


class Connection:
    """One connection, which `apply_async(..., connection=...)` sends on.

    Threads may share it: each waits for its turn. When it breaks, the next send makes it anew. It
    is a context manager; otherwise `close` it.

    Args:
        settings: the broker to connect to, and how.
        connect_timeout: seconds to wait for the connection, now and whenever it is made again.

    Raises:
        BrokerUnreachable: it could not be made.
    """

    def __init__(self, settings: LinkSettings, connect_timeout: float | None) -> None:
        self._settings = settings
        self._connect_timeout = connect_timeout
        self._turn = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        self._link: Link | None = None
        self._pulse = Pulse(self._beat)
        self.give(self.take(None))

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<Connection to {self.broker.name}, {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def broker(self) -> Broker:
        """Whom it leads to."""
        return self._settings.broker

    def close(self) -> None:
        """Close it; nothing can be sent on it any more."""
        self._pulse.stop()
        with self._turn:
            link, self._link = self._link, None
            self._closed = True
        if link is not None:
            link.close()

    def take(self, connect_timeout: float | None) -> Link:
        """The link, for one thread at a time; `give` must follow.

        Raises:
            BrokerUnreachable: there is no connection, or other threads use it for too long.
            InvalidOption: it is closed, or was made before a fork.
        """
        if self._pid != os.getpid():
            raise InvalidOption("this connection was made before a fork; establish another one")
        timeout = self._settings.confirm_timeout
        if not self._turn.acquire(timeout=timeout):
            raise BrokerUnreachable(f"the connection stayed busy for {timeout:g} s")
        try:
            return self._sound(connect_timeout or self._connect_timeout)
        except BaseException:
            self._turn.release()
            raise

    def give(self, link: Link) -> None:
        """Take the link back, or throw it away if something on it is in doubt."""
        if link.in_doubt or link.unsettled():
            self._link = None
            link.discard()
        self._pulse.start()
        self._turn.release()

    def _beat(self) -> bool:
        """Keep the link alive while nobody uses it; whether the connection is open."""
        if self._turn.acquire(blocking=False):
            if self._link is None:
                self._turn.release()
            else:
                self._link.pulse()
                self.give(self._link)
        return not self._closed

    def lost(self) -> None:
        """The link broke; the next one is waited for more patiently."""
        self.broker.lost()

    def _sound(self, connect_timeout: float | None) -> Link:
        if self._closed:
            raise InvalidOption("this connection is closed; establish another one")
        if self._link is not None and self._link.stale:
            self._link.discard()
            self._link = None
        if self._link is None:
            self._link = open_link(self._settings, connect_timeout)
        return self._link
