"""What a worker can be told about its queues while it runs, and the names that this goes by.

A worker has a queue of its own, whose name its consumers' tags begin with, so that whoever lists
the consumers of a queue knows how to reach them. What it is told is JSON:

    {"leave": QUEUE, "for": OTHER}   consume OTHER instead, and answer {"left": QUEUE} once all that
                                     was received from QUEUE is settled, or {"error": TEXT}
    {"ask": QUEUE}                   answer {"consumes": BOOL, "holds": NUMBER OF MESSAGES}

Answers go to `reply_to` over the default exchange, with the `correlation_id` of the question.
Everything may be told again.

Anybody who may publish to the default exchange can send these. A worker therefore leaves a queue of
its group only for the queue that stands in for it, and that one only for the queue itself; and it
answers only to queues that are named as those for answers are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from routewright.runtime.router.limits import MAX_SHORT_STRING

WORKER = "routewright.worker."  # begins the name of a worker's own queue
STAND_IN = "routewright.standin.queue."  # begins the name of a queue that stands in for another
ANSWERS = "routewright.answers."  # begins the name of a queue for answers


def stand_in_of(queue: str) -> str:
    """The name of the queue that stands in for another while that is replaced."""
    return f"{STAND_IN}{queue}"


def replaced_queue(queue: str, other: str) -> str | None:
    """Returns the queue that is replaced where one is left for the other; None if none is."""
    if other == stand_in_of(queue):
        return queue
    return other if queue == stand_in_of(other) else None


def can_have_stand_in(queue: str) -> bool:
    """Returns False if the name of a queue leaves no room for that of one to stand in."""
    return len(stand_in_of(queue).encode()) <= MAX_SHORT_STRING


def worker_of(consumer_tag: str) -> str | None:
    """The queue of the worker that a consumer belongs to, if it belongs to one that has one."""
    name, slash, _ = consumer_tag.rpartition("/")
    return name if slash and name.startswith(WORKER) else None


@dataclass(frozen=True, slots=True)
class Order:
    """Something that a worker is told: to leave a queue for another one, or what it has of it."""

    queue: str
    other: str | None = None  # None: it is only asked
    reply_to: str | None = None
    correlation_id: str | None = None

    def encode(self) -> str:
        """The body of its message."""
        if self.other is None:
            return json.dumps({"ask": self.queue})
        return json.dumps({"leave": self.queue, "for": self.other})


def decode(body: bytes | str, reply_to: str | None, correlation_id: str | None) -> Order:
    """Reads an order.

    Raises:
        ValueError: it is none that is known here, or its answer is wanted in some other queue.
    """
    if reply_to is None or not reply_to.startswith(ANSWERS):
        raise ValueError(f"`reply_to` does not begin with `{ANSWERS}`")
    found = json.loads(body)
    match found:
        case {"leave": str(queue), "for": str(other)} if queue and other and queue != other:
            return Order(queue, other, reply_to, correlation_id)
        case {"ask": str(queue)} if queue:
            return Order(queue, None, reply_to, correlation_id)
    raise ValueError("it says neither what to leave for what, nor what is asked")
