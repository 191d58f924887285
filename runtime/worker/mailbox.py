"""A worker's own queue, by which it is told things: one for each of its connections."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from amqp.exceptions import AccessRefused

from routewright.runtime.messages.orders import WORKER, Order, decode
from routewright.runtime.messages.short_repr import in_line

MOST_HOST = 100  # characters of the host's name, for a queue's name has 255 bytes
MOST_SHOWN = 200  # characters of a message that cannot be read

logger = logging.getLogger("routewright.worker")


class Mailbox:
    """An exclusive queue that goes with its connection.

    Where the broker does not allow it there is none, and `name` is None.

    Args:
        channel: py-amqp's, which nobody else uses.
        receive: called with each order, while the connection is being read.
    """

    def __init__(self, channel: Any, receive: Callable[[Order], None]) -> None:
        self.name: str | None = None
        self._receive = receive
        name = f"{WORKER}{socket.gethostname()[:MOST_HOST]}.{os.getpid()}.{uuid4().hex[:12]}"
        try:
            channel.queue_declare(name, exclusive=True, durable=False, auto_delete=False)
            channel.basic_consume(name, no_ack=True, callback=self._read, on_cancel=self._on_cancel)
        except AccessRefused as error:
            logger.warning(
                "the worker cannot be told of queues that are replaced, and has to be stopped for"
                " that; grant configure and read on `%s*`: %s",
                WORKER,
                error.reply_text,
            )
            channel.close()
        else:
            self.name = name

    def _read(self, message: Any) -> None:
        told = message.properties
        try:
            order = decode(message.body, told.get("reply_to"), told.get("correlation_id"))
        except (ValueError, RecursionError) as error:
            shown = in_line(repr(message.body)[:MOST_SHOWN])
            logger.error("ignored what the worker was told, %s: %s", shown, in_line(str(error)))  # noqa: TRY400
        else:
            self._receive(order)

    def _on_cancel(self, _tag: str) -> None:
        logger.error("queue `%s` is gone: the worker cannot be told of anything", self.name)
