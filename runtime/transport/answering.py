"""The channel that results leave on, apart from the one that messages come by.

A broker refuses a message by closing the channel it was published on (no permission, or too large).
On the consuming channel that would give every unsettled message back, to be run again for ever.
"""

from __future__ import annotations

import logging
from typing import Any

from amqp.exceptions import ChannelError
from kombu.transport.pyamqp import Channel

logger = logging.getLogger("routewright.consumer")


class AnsweringChannel(Channel):
    """A channel that outlives a refused publish: py-amqp opens it again, and we say what was."""

    def _on_close(self, reply_code: Any, reply_text: Any, class_id: Any, method_id: Any) -> None:
        try:
            close: Any = super()._on_close  # py-amqp has no annotations
            close(reply_code, reply_text, class_id, method_id)
        except ChannelError as error:
            logger.error(  # noqa: TRY400  one line is enough
                "a result was refused by the broker, and nobody gets it: %s", error
            )


def answering_channel(connection: Any) -> Any:
    """An open channel of this kind on a connection of py-amqp's."""
    make: Any = AnsweringChannel
    channel = make(connection)
    channel.open()
    return channel
