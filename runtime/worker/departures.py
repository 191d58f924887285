"""Carries out orders to leave a queue, and answers when all that came from it is settled."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping

from routewright.runtime.messages.message import Envelope
from routewright.runtime.messages.orders import Order
from routewright.runtime.messages.short_repr import in_line
from routewright.runtime.transport.consumer import Consumer
from routewright.runtime.worker.group_queues import GroupQueues

AT_A_TIME = 100  # orders that are looked at before messages get their turn again
MOST_NEW = 1000  # orders that wait to be looked at; the oldest are dropped
MOST_OPEN = 100  # orders that wait until all is settled

logger = logging.getLogger("routewright.worker")


class Departures:
    """The orders that came over one connection; used by the thread that reads it.

    Args:
        hand_back: gives back what was received from a queue and has not begun; how many messages.
    """

    def __init__(self, hand_back: Callable[[Consumer, str], int]) -> None:
        self._hand_back = hand_back
        self._new: deque[Order] = deque(maxlen=MOST_NEW)
        self._open: list[Order] = []

    def __bool__(self) -> bool:
        return bool(self._new or self._open)

    def tell(self, order: Order) -> None:
        """Takes an order; nothing is done about it before `look`."""
        self._new.append(order)

    def forget(self) -> None:
        """Forgets all orders: the connection is lost, and whoever waits for an answer sees that."""
        self._new.clear()
        self._open.clear()

    def look(self, queues: GroupQueues) -> None:
        """Does what is new, and answers what is settled.

        Raises:
            LinkLost: the connection broke.
        """
        consumer = queues.consumer
        for _ in range(AT_A_TIME):  # some may come meanwhile
            if not self._new:
                break
            order = self._new.popleft()
            if order.other is None:
                consumes, holds = order.queue in consumer.consumed, consumer.owes(order.queue)
                _answer(consumer, order, {"consumes": consumes, "holds": holds})
            else:
                self._depart(queues, order, order.other)
        self._answer_open(consumer)

    def _answer_open(self, consumer: Consumer) -> None:
        """Answers what is settled, and what never will be, since the queue is consumed again."""
        consumed = consumer.consumed
        back = [order for order in self._open if order.queue in consumed]
        waiting = [order for order in self._open if order.queue not in consumed]
        owed = {queue: consumer.owes(queue) for queue in {order.queue for order in waiting}}
        settled = [order for order in waiting if not owed[order.queue]]
        self._open = [order for order in waiting if owed[order.queue]]
        for order in back:
            _answer(consumer, order, {"error": f"queue `{order.queue}` is consumed again"})
        if settled:
            consumer.catch_up()
        for order in settled:
            _answer(consumer, order, {"left": order.queue})

    def _depart(self, queues: GroupQueues, order: Order, other: str) -> None:
        """Leaves a queue for another one, unless something stands against it."""
        queue, consumer = order.queue, queues.consumer
        # From the same sender, the last order is the one whose answer counts.
        sender = (queue, order.reply_to)
        others = [each for each in self._open if (each.queue, each.reply_to) != sender]
        problem = queues.objection(queue, other)
        if problem is None and len(others) >= MOST_OPEN:
            problem = f"{MOST_OPEN} other orders wait for what is not settled"
        if problem is not None:
            logger.warning(
                "refused an order to leave queue `%s` for `%s`: %s",
                *map(in_line, (queue, other, problem)),
            )
        elif queue in consumer.consumed:
            problem = queues.join(other, queue)
            if problem is None:
                self._leave(queues, queue, other)
        if problem is not None:
            _answer(consumer, order, {"error": problem})
        else:
            self._open = [*others, order]

    def _leave(self, queues: GroupQueues, queue: str, other: str) -> None:
        # Before and after, as in stopping: a task thread would begin what waits meanwhile.
        handed_back = self._hand_back(queues.consumer, queue)
        queues.leave(queue)
        handed_back += self._hand_back(queues.consumer, queue)
        logger.info(
            "queue `%s` is left for `%s`: %d messages handed back, %d tasks running",
            queue,
            other,
            handed_back,
            queues.consumer.owes(queue),
        )


def _answer(consumer: Consumer, order: Order, body: Mapping[str, object]) -> None:
    if order.reply_to:
        envelope = Envelope(
            json.dumps(body), "application/json", "utf-8", {}, correlation_id=order.correlation_id
        )
        consumer.publish(order.reply_to, envelope)
