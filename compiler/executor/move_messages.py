"""Moves the messages of a queue to another: confirmed there before they are acknowledged here.

A message whose apply is killed between the two is in both queues, with all its properties the same,
its ids among them. Nothing of a message changes but what the broker would take amiss: a `user_id`
that is not ours, and the header `CC`, which would send copies to where they were already.

A message comes to the other queue from the default exchange, by the queue's name. Where dead
letters go by the keys of the messages, the keys that it came with are its `CC`: RabbitMQ
dead-letters by all keys, those in `CC` too. To the default exchange they are names of queues, so
that one which is the name of a queue cannot be kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from amqp import Message

from routewright.compiler.broker.errors import StillInUse
from routewright.compiler.plan.changes import Move

_AT_A_TIME = 500
_CC = "CC"
_MOVED_CC = "x-routewright-cc"


def move(connection: Any, change: Move, queues: Collection[str] = ()) -> int:
    """Move all that is ready in a queue; returns how many messages that was.

    Args:
        connection: py-amqp's; its socket's time limit bounds each wait.
        change: from where to where.
        queues: the names of all there are, which a key that is kept must not have.

    Raises:
        StillInUse: the other queue takes no more.
    """
    channel = connection.channel()
    channel.auto_decode = False  # a body is bytes, and stays the same
    try:
        return _Mover(channel, change, queues).run()
    finally:
        channel.close()  # what is not acknowledged goes back to where it was


class _Mover:
    def __init__(self, channel: Any, change: Move, queues: Collection[str]) -> None:
        self._channel, self._change, self._queues = channel, change, queues
        self._published = 0
        self._unconfirmed: set[int] = set()
        self._refused: set[int] = set()
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)

    def run(self) -> int:
        moved = 0
        while count := self._batch():
            moved += count
        return moved

    def _batch(self) -> int:
        tags: dict[int, int] = {}  # of deliveries, by the numbers of what was published
        while len(tags) < _AT_A_TIME:
            message = self._channel.basic_get(self._change.source.name, no_ack=False)
            if message is None:
                break
            self._published += 1
            self._unconfirmed.add(self._published)
            tags[self._published] = message.delivery_tag
            self._channel.basic_publish(
                _copy(message, [*self._kept(message)]),
                exchange="",
                routing_key=self._change.destination.name,
                mandatory=True,
            )
        while self._unconfirmed:
            self._channel.connection.drain_events(timeout=None)
        if self._refused:
            for number in tags.keys() - self._refused:
                self._channel.basic_ack(tags[number])
            raise StillInUse(
                f"queue `{self._change.destination.name}` takes no more messages: those of "
                f"`{self._change.source.name}` stay there"
            )
        if tags:
            self._channel.basic_ack(tags[self._published], multiple=True)
        return len(tags)

    def _kept(self, message: Any) -> Iterator[str]:
        """The keys that a message came with to its queue first, as far as they can be kept."""
        if self._change.keeps_keys:
            came, key = message.delivery_info["exchange"], message.delivery_info["routing_key"]
            keys = [] if came == "" and key == self._change.source.name else [key]
            for it in dict.fromkeys([*keys, *_copied_to(message)]):
                if it not in self._queues:
                    yield it

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._unconfirmed -= self._up_to(tag, multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        refused = self._up_to(tag, multiple)
        self._refused |= refused
        self._unconfirmed -= refused

    def _up_to(self, tag: int, multiple: bool) -> set[int]:
        return {it for it in self._unconfirmed if it == tag or (multiple and it < tag)}


def _copied_to(message: Any) -> list[str]:
    found = (message.properties.get("application_headers") or {}).get(_CC)
    return [it for it in found if isinstance(it, str)] if isinstance(found, list) else []


def _copy(message: Any, keys: Sequence[str]) -> Message:
    properties = dict(message.properties)
    properties.pop("user_id", None)
    headers = dict(properties.pop("application_headers", None) or {})
    if _CC in headers:
        copied_to = headers.pop(_CC)
        if any(it not in keys for it in copied_to):
            headers[_MOVED_CC] = copied_to
    if keys:
        headers[_CC] = keys
    return Message(message.body, application_headers=headers, **properties)
