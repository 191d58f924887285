"""What the worker owes the broker for a delivery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport.consumer import Delivery


class Word(Enum):
    """What the broker is to be told of a message."""

    ACK = "it is done with"
    REJECT = "it is refused for good, and so dead-lettered where its queue says so"
    HOLD = "nothing: it is looked at again later"
    SAID = "nothing: it has been acknowledged before its task began"
    UNBEGUN = "nothing: its connection was lost before its task began"


@dataclass(frozen=True, slots=True)
class Settlement:
    """A word on a delivery, and perhaps a reply to be sent before it."""

    delivery: Delivery
    word: Word
    reply_to: str | None = None
    reply: Envelope | None = None
    until: datetime | None = None  # of a message that is held
    ends: bool = True  # False: its task goes on
    final: bool = False  # its task ran, and a copy of the message must not run
