"""Sends what a worker has received once more: later, along today's route, or as an outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from routewright.runtime.messages.message import Envelope
from routewright.runtime.router.route import Route, Router
from routewright.runtime.sending.delaying import delayed_route, route_back
from routewright.runtime.sending.dispatch import Dispatch
from routewright.runtime.sending.publisher import Publisher, deliver

_OF_THE_BROKER = "x-"  # its notes on where a message has died; with them it would see a circle
_COPIED_BY = ("CC", "BCC")  # RabbitMQ: further keys, by which copies went to others the first time


def as_new(envelope: Envelope) -> Envelope:
    """Returns a message that came from the broker, without what the broker would act on again."""
    headers = {
        name: value
        for name, value in envelope.headers.items()
        if not name.startswith(_OF_THE_BROKER) and name not in _COPIED_BY
    }
    return replace(envelope, headers=headers)


@dataclass(frozen=True, slots=True)
class Resender:
    """Sends messages of a worker; each call returns when the broker has confirmed.

    Every method raises `SendError` if the message was not sent, or not surely.
    """

    router: Router[Any]
    publisher: Publisher

    def postpone(self, task: str, queue: str, envelope: Envelope, due: datetime) -> None:
        """Sends a message that came to a queue too early there again, to arrive when it is due.

        Raises:
            InvalidOption: the topology delays no task.
        """
        route = route_back(self.router, self.publisher.broker, task, queue, due)
        deliver(self.publisher, Dispatch(route, as_new(envelope)))

    def send_again(
        self, task: str, queue: str, envelope: Envelope, kwargs: Mapping[str, Any], due: datetime
    ) -> None:
        """Sends a message that came from a queue along its task's route of today.

        A task that runs in several queues comes back to this one alone.

        Raises:
            UnknownTask: the topology of today declares it no more.
            InvalidParameter: the key of today wants what the message does not say.
            InvalidOption: the topology delays no task, or none for so long.
        """
        route = self.router.resolve(task)
        route = Route(task, "", queue, (queue,)) if route.multicast else route.filled(kwargs)
        route = delayed_route(self.router, self.publisher.broker, route, due)
        deliver(self.publisher, Dispatch(route, envelope))

    def send_outcome(self, reply_to: str, outcome: Envelope) -> None:
        """Sends the outcome of a task to the queue of one who waits for it."""
        route = Route("a result", "", reply_to, (reply_to,))
        deliver(self.publisher, Dispatch(route, outcome, mandatory=False))
