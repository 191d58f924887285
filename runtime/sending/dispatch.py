"""One message on its way to the broker, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from routewright.runtime.errors import SendError
from routewright.runtime.messages.message import Envelope
from routewright.runtime.router.route import Route


@dataclass(slots=True, eq=False)
class Dispatch:
    """A message to send. It is settled once: confirmed, or failed with an error of its own.

    `posted` tells how often it was written to a connection: if never, it is certain that nothing
    was queued, and if more than once, it may be queued twice, under one id.
    """

    route: Route
    envelope: Envelope
    mandatory: bool = True
    immediate: bool = False
    event: Envelope | None = None  # says that it is sent, and goes out with it
    posted: int = 0
    confirmed: bool = False
    error: SendError | None = None

    @property
    def settled(self) -> bool:
        """Whether it is known what became of it."""
        return self.confirmed or self.error is not None

    @property
    def id(self) -> str | None:
        """The task's id."""
        return self.envelope.correlation_id

    def fail(self, kind: type[SendError], problem: str, cause: BaseException | None = None) -> None:
        """Settle it: it was not sent, or nobody can tell."""
        if self.settled:
            return
        route = self.route
        self.error = kind(
            f"task `{route.task}` (exchange `{route.exchange}`, routing key `{route.routing_key}`):"
            f" {problem}"
        )
        self.error.__cause__ = cause
