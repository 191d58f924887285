"""Sending messages: a pool of links, each used by one thread at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from routewright.runtime.broker import Broker, LinkLost
from routewright.runtime.errors import BrokerUnreachable
from routewright.runtime.links import Link, open_link
from routewright.runtime.message import Envelope
from routewright.runtime.route import Route

ATTEMPTS = 2  # a pooled connection may have been closed while it lay idle


class Publisher:
    """Sends messages over at most `limit` connections; safe to call from any thread.

    Args:
        broker: whom to connect to.
        limit: how many connections there may be; a send waits for one that is free.
        confirm_timeout: seconds the broker may take to confirm one message, and a send may wait for
            a free connection.
    """

    def __init__(self, broker: Broker, *, limit: int = 10, confirm_timeout: float = 10.0) -> None:
        self._broker = broker
        self._limit = limit
        self._timeout = confirm_timeout
        self._start()

    def _start(self) -> None:
        self._free = threading.BoundedSemaphore(self._limit)
        self._idle: deque[Link] = deque()  # the last in is the first out, and the likeliest alive
        self._links: set[Link] = set()

    def send(
        self, route: Route, envelope: Envelope, *, mandatory: bool = True, immediate: bool = False
    ) -> None:
        """Send one message, and return when the broker has confirmed it.

        A connection that breaks is replaced and the same message is sent once more, so a task may
        be queued twice where the break hid the confirm; its id is the same.

        Raises:
            SendError: the message was not confirmed; the subclass says why.
        """
        for attempt in range(ATTEMPTS):
            try:
                with self._lease() as link:
                    if immediate:
                        link.check_consumers(route)
                    link.publish(route, envelope, mandatory=mandatory, timeout=self._timeout)
            except LinkLost as error:
                self._drop_idle()  # what broke one connection has most likely broken these
                if attempt + 1 == ATTEMPTS:
                    raise BrokerUnreachable(
                        f"task `{route.task}`: the connection to {self._broker.name} broke"
                        f" {ATTEMPTS} times: {error}; the task may or may not have been queued"
                    ) from error
            else:
                return

    @contextmanager
    def _lease(self) -> Iterator[Link]:
        free = self._free
        if not free.acquire(timeout=self._timeout):
            raise BrokerUnreachable(
                f"all {self._limit} connections to {self._broker.name} stayed busy for"
                f" {self._timeout:g} s"
            )
        try:
            link = self._take()
            try:
                yield link
            finally:
                if link.busy:
                    self._links.discard(link)
                    link.discard()
                else:
                    self._idle.append(link)
        finally:
            free.release()

    def _take(self) -> Link:
        try:
            return self._idle.pop()
        except IndexError:
            link = open_link(self._broker)
            self._links.add(link)
            return link

    def close(self) -> None:
        """Close the idle connections; a later send opens new ones."""
        for link in self._take_idle():
            link.close()

    def _drop_idle(self) -> None:
        for link in self._take_idle():
            link.discard()

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
