"""A private Redis server."""

import socket

from private_nodes.node import Node, NodeFailed, find


class Redis(Node):
    """A Redis server that keeps nothing on disk."""

    def __init__(self, *options: str) -> None:
        """Options are redis-server's own, such as `--maxmemory`, `1mb`."""
        super().__init__("redis", port_count=1)
        [self.port] = self._ports.numbers
        self._options = options

    @staticmethod
    def installed() -> bool:
        return find("redis-server") is not None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def flush(self) -> None:
        """Forget all keys of all databases."""
        if not self._call(b"FLUSHALL").startswith(b"+OK"):
            raise NodeFailed("FLUSHALL was refused")

    def _command(self) -> list[str]:
        program = find("redis-server")
        if program is None:
            raise NodeFailed("redis-server is not installed")
        options = f"--port {self.port} --bind 127.0.0.1 --daemonize no --appendonly no".split()
        return [program, *options, "--dir", str(self.directory), "--save", "", *self._options]

    def _ready(self) -> bool:
        return self._call(b"PING").startswith(b"+PONG")

    def _call(self, command: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(100)
