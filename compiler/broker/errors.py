"""What can go wrong with a broker: each error is one clear line, and never tells a password."""

from __future__ import annotations

from routewright.compiler.plan.progress import Applied
from routewright.compiler.plan.virtual_host import Conflict


class BrokerError(Exception):
    """The base of all that a broker, or the way to it, can refuse.

    `applied` is what had been done by then.
    """

    def __init__(self, message: str, applied: Applied | None = None) -> None:
        self.applied = applied or Applied()
        done = self.applied.created or self.applied.repeated
        told = f"{message}; before that: {self.applied}" if done else message
        super().__init__(" ".join(told.split()))


class InvalidUrl(BrokerError):
    """The broker URL cannot be read, or names a transport that is not there."""


class VhostMismatch(BrokerError):
    """The topology names one virtual host and the broker URL another."""


class Unreachable(BrokerError):
    """Nobody answers at the broker's address, or not in time."""


class NotABroker(BrokerError):
    """Something answers, but does not speak AMQP."""


class CertificateRefused(BrokerError):
    """The broker's certificate is not of a trusted authority, or is for another host."""


class CredentialsRefused(BrokerError):
    """The broker knows no such user, or the password is wrong."""


class VhostRefused(BrokerError):
    """There is no such virtual host, or the user may not enter it."""


class PermissionRefused(BrokerError):
    """The user may not declare or bind an object."""


class DeclarationRefused(BrokerError):
    """The broker does not take a declaration as it stands."""


class Unsupported(BrokerError):
    """The transport lacks what the topology asks for; nothing was declared."""


class ConnectionLost(BrokerError):
    """The connection broke, or the broker fell silent, half-way; running again does the rest."""


class Busy(BrokerError):
    """Another apply is at work on the virtual host."""


class Outdated(BrokerError):
    """The broker is not as it was when the plan was made."""


class StillInUse(BrokerError):
    """A queue or exchange that should go still has messages, consumers or bindings."""


class ConflictsFound(Exception):
    """Objects are there with other arguments than the wanted ones; nothing was changed."""

    def __init__(self, conflicts: tuple[Conflict, ...]) -> None:
        super().__init__("; ".join(str(conflict) for conflict in conflicts))
        self.conflicts = conflicts
