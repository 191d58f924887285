"""Ports that stay one's own from before a server starts until after its last restart."""

import random
import socket

# Below the range Linux takes for outgoing connections, so that no client borrows a port while the
# server that owns it is down.
_RANGE = range(20_000, 32_000)


class Ports:
    """Some free TCP ports on the loopback interface, claimed until closed."""

    def __init__(self, count: int) -> None:
        self.numbers: list[int] = []
        self._claims: list[socket.socket] = []
        for number in random.sample(_RANGE, len(_RANGE)):
            if len(self.numbers) == count:
                return
            if (claim := _claim(number)) is not None:
                self.numbers.append(number)
                self._claims.append(claim)
        self.close()
        raise OSError(f"no {count} free ports in {_RANGE}")

    def close(self) -> None:
        for claim in self._claims:
            claim.close()


def _claim(number: int) -> socket.socket | None:
    """A socket that stands for the port, or None if the port is taken.

    Binding the port shows that it is free now; an abstract Unix socket of that name, which the
    kernel drops with the process, keeps other test processes from picking it a moment later.
    """
    claim = socket.socket(socket.AF_UNIX)
    with socket.socket() as probe:
        try:
            claim.bind(f"\0routewright-port-{number}")
            probe.bind(("127.0.0.1", number))
        except OSError:
            claim.close()
            return None
    return claim
