"""Wakes a thread that waits for the network."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Self


class Waker:
    """Ends another thread's `Consumer.wait`; safe to call from a signal handler."""

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._read.fileno()

    def wake(self) -> None:
        """Wake the waiting thread, now or at its next wait."""
        # Full, and it wakes anyway; or closed, and nobody waits.
        with suppress(OSError):
            self._write.send(b"\0")

    def wait(self, timeout: float) -> None:
        """Sleeps for `timeout` seconds, or until woken."""
        poller = select.poll()
        poller.register(self, select.POLLIN)
        if poller.poll(timeout * 1000):
            self.clear()

    def wait_beside(self, sock: socket.socket, timeout: float) -> bool:
        """Sleeps likewise, or until a socket has something to read. Returns True if it has."""
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        poller.register(self, select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll(timeout * 1000)}
        if self.fileno() in ready:
            self.clear()
        return sock.fileno() in ready

    def clear(self) -> None:
        """Forget the calls so far."""
        with suppress(BlockingIOError):
            self._read.recv(65536)

    def close(self) -> None:
        """Give the descriptors back."""
        self._read.close()
        self._write.close()
