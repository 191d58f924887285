"""Sending messages: a pool of links, each used by one thread at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from routewright.runtime.errors import BrokerUnreachable
from routewright.runtime.sending.confirming_link import LinkSettings
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.fair_semaphore import FairSemaphore
from routewright.runtime.sending.links import Link, open_link
from routewright.runtime.sending.stream import Source, Stream
from routewright.runtime.transport.broker import Broker
from routewright.runtime.transport.pulse import Pulse


class Publisher:
    """At most `limit` connections to send on; safe to call from any thread.

    Args:
        settings: the broker to connect to, and how.
        limit: how many connections there may be; a send waits for one that is free.
    """

    def __init__(self, settings: LinkSettings, *, limit: int = 10) -> None:
        self.settings = settings
        self._limit = limit
        self._start()

    @property
    def broker(self) -> Broker:
        """The broker that it sends to."""
        return self.settings.broker

    def _start(self) -> None:
        self._free = FairSemaphore(self._limit)
        self._idle: deque[Link] = deque()  # the last in is the first out, and the likeliest alive
        self._links: set[Link] = set()
        self._closings = 0
        self._pulse = Pulse(self._beat)

    def take(self, connect_timeout: float | None = None) -> Link:
        """A link that nobody else uses; `give` must follow.

        Raises:
            BrokerUnreachable: no connection could be made, or none became free.
        """
        timeout = self.settings.confirm_timeout
        if not self._free.acquire(timeout):
            raise BrokerUnreachable(
                f"all {self._limit} connections to {self.broker.name} stayed busy for {timeout:g} s"
            )
        try:
            return self._fresh() or self._open(connect_timeout)
        except BaseException:
            self._free.release()
            raise

    def give(self, link: Link) -> None:
        """Take a link back, or throw it away if something on it is in doubt."""
        if link not in self._links:
            return  # the parent's, in a forked child
        if link.in_doubt or link.unsettled():
            self._links.discard(link)
            link.discard()
        else:
            self._idle.append(link)
            self._pulse.start()
        self._free.release()

    def _beat(self) -> bool:
        """Keep the idle links alive, and drop those that are dead; whether there is any link."""
        closings = self._closings
        for _ in range(len(self._idle)):
            if not self._free.acquire():
                break  # all of them are in use by now
            try:
                link = self._idle.popleft()
            except IndexError:
                self._free.release()
                break
            link.pulse()
            self.give(link)
        if self._closings != closings:  # `close` did not see the link that was in our hands
            self.close()
        return bool(self._links)

    def _fresh(self) -> Link | None:
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return None
            if not link.stale:
                return link
            self._links.discard(link)
            link.discard()

    def _open(self, connect_timeout: float | None) -> Link:
        link = open_link(self.settings, connect_timeout)
        self._links.add(link)
        return link

    def lost(self) -> None:
        """A link broke: what broke it has most likely broken those that lie idle."""
        self.broker.lost()
        for link in self._take_idle():
            link.discard()

    def close(self) -> None:
        """Close the idle connections; a later send opens new ones."""
        self._closings += 1
        self._pulse.stop()
        for link in self._take_idle():
            link.close()

    def _take_idle(self) -> Iterator[Link]:
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return
            self._links.discard(link)
            yield link

    def after_fork(self) -> None:
        """In a forked child: let go of the parent's connections, and start with none."""
        for link in self._links:
            link.abandon()
        self._start()


def deliver(source: Source, dispatch: Dispatch, connect_timeout: float | None = None) -> None:
    """Send one message, and return when the broker has confirmed it.

    Raises:
        SendError: it was not confirmed; the subclass says why.
    """
    stream = Stream(source, connect_timeout=connect_timeout)
    try:
        stream.push(dispatch)
        stream.settle()
    finally:
        stream.close()
    if dispatch.error is not None:
        raise dispatch.error
