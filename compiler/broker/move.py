"""Moves the messages of a queue to another: confirmed there before they are acknowledged here.

A message whose apply is killed between the two is in both queues, with all its properties the same,
its ids among them. Nothing of a message changes but what the broker would take amiss: a `user_id`
that is not ours, and the header `CC`, which would send copies to where they were already.
"""

from __future__ import annotations

from typing import Any

from amqp import Message

from routewright.compiler.broker.errors import StillInUse
from routewright.compiler.broker.steps import Move

_AT_A_TIME = 500
_MOVED_CC = "x-routewright-cc"


def move(connection: Any, change: Move) -> int:
    """Move all that is ready in a queue; returns how many messages that was.

    Args:
        connection: py-amqp's; its socket's time limit bounds each wait.
        change: from where to where.

    Raises:
        StillInUse: the other queue takes no more.
    """
    channel = connection.channel()
    channel.auto_decode = False  # a body is bytes, and stays the same
    try:
        return _Mover(channel, change).run()
    finally:
        channel.close()  # what is not acknowledged goes back to where it was


class _Mover:
    def __init__(self, channel: Any, change: Move) -> None:
        self._channel, self._change = channel, change
        self._published = 0
        self._unconfirmed: set[int] = set()
        self._refused = False
        channel.confirm_select()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)

    def run(self) -> int:
        moved = 0
        while count := self._batch():
            moved += count
        return moved

    def _batch(self) -> int:
        last, count = None, 0
        while count < _AT_A_TIME:
            message = self._channel.basic_get(self._change.source.name, no_ack=False)
            if message is None:
                break
            self._published += 1
            self._unconfirmed.add(self._published)
            self._channel.basic_publish(
                _copy(message),
                exchange="",
                routing_key=self._change.destination.name,
                mandatory=True,
            )
            last, count = message.delivery_tag, count + 1
        while self._unconfirmed:
            self._channel.connection.drain_events(timeout=None)
        if self._refused:
            raise StillInUse(
                f"queue `{self._change.destination.name}` takes no more messages: those of "
                f"`{self._change.source.name}` stay there"
            )
        if last is not None:
            self._channel.basic_ack(last, multiple=True)
        return count

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._settle(tag, multiple)

    def _on_nack(self, tag: int, multiple: bool) -> None:
        self._refused = True
        self._settle(tag, multiple)

    def _settle(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._unconfirmed = {it for it in self._unconfirmed if it > tag}
        else:
            self._unconfirmed.discard(tag)


def _copy(message: Any) -> Message:
    properties = dict(message.properties)
    properties.pop("user_id", None)
    headers = dict(properties.pop("application_headers", None) or {})
    if "CC" in headers:
        headers[_MOVED_CC] = headers.pop("CC")
    return Message(message.body, application_headers=headers, **properties)
