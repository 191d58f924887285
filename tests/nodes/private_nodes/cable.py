"""The way to a server, which a test can cut without a word to either side."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Cable:
    """A TCP proxy before the server of a URL; `url` leads through it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        user = f"{parts.username}:{parts.password}@" if parts.username else ""
        self.url = urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))
        self._ends: list[socket.socket] = []
        self._dead: set[socket.socket] = set()
        self.made = 0  # connections
        self.closed_by_client = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.close()

    def cut(self) -> None:
        """From now on nothing passes on the connections there are; none of them is closed."""
        self._dead.update(self._ends)

    def drop(self) -> None:
        """Close the connections there are, as a firewall that is restarted does."""
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._ends += (client, server)
                self.made += 1
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        is_client = self._ends.index(source) % 2 == 0
        with suppress(OSError):
            while data := source.recv(65536):
                if source not in self._dead:
                    target.sendall(data)
            self.closed_by_client += is_client
            if source not in self._dead:
                target.shutdown(socket.SHUT_WR)
