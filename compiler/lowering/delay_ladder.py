"""The exchanges and queues that hold a message until it is due.

Level k holds a message `resolution * 2^k` long. An exchange looks at one binary digit of the key:
1 leads into the queue of its level, from which the message comes out to the level below when its
time is up; 0 leads to the level below at once. Below the lowest is the last stop. What finds no way
on from there, since the topology has changed meanwhile, is kept in a queue of its own: it would be
tried again and again, and after a few dozen of its kind hold up all others.
"""

from __future__ import annotations

from dataclasses import dataclass

from routewright.compiler.lowering.delay_names import holds_safely, ladder_names
from routewright.compiler.model.topology import Arguments, Binding, Delays, Exchange, Queue
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE
from routewright.compiler.rabbitmq.queue_arguments import QUORUM


@dataclass(frozen=True, slots=True)
class Ladder:
    """The ladder of one topology: `levels` are its exchanges, the topmost first.

    `lost` is the exchange for what finds no way on from the last stop.
    """

    levels: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    last_stop: Exchange
    lost: Exchange
    bindings: tuple[Binding, ...]


def ladder(topology: str, delays: Delays, target: str) -> Ladder:
    """The ladder for the delays of a topology."""
    names = ladder_names(topology, delays, target)
    numbers = range(delays.bits - 1, -1, -1)
    levels = tuple(Exchange(names.level(number), "topic") for number in numbers)
    lost = Exchange(names.lost, "fanout")
    last_stop = Exchange(names.last_stop, "topic", arguments={ALTERNATE_EXCHANGE: lost.name})
    keeping = Queue(lost.name, arguments={"x-queue-type": QUORUM} if holds_safely(target) else {})
    queues, bindings = [keeping], [Binding(lost, keeping)]
    for place, (level, number) in enumerate(zip(levels, numbers, strict=True)):
        below = (*levels, last_stop)[place + 1]
        queue = Queue(level.name, arguments=_holding(delays.hold(number), below, target))
        queues.append(queue)
        before = "*." * place
        bindings += [Binding(level, queue, f"{before}1.#"), Binding(level, below, f"{before}0.#")]
    return Ladder(levels, tuple(queues), last_stop, lost, tuple(bindings))


def _holding(time: int, below: Exchange, target: str) -> Arguments:
    """The arguments of a queue that holds each message for some milliseconds.

    A classic queue forgets a message as it passes it on, and a broker that dies in that moment
    loses it. A quorum queue can wait until the next one has it, which it demands `reject-publish`
    for; nothing is ever rejected, for there is no limit.
    """
    arguments: Arguments = {"x-message-ttl": time, "x-dead-letter-exchange": below.name}
    if not holds_safely(target):
        return arguments
    return {
        **arguments,
        "x-queue-type": QUORUM,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
