"""Reads what has arrived on an AMQP connection, many frames at a time.

py-amqp reads a frame with three system calls, and sets the socket's timeout twice for each. Here
whatever is there is read at once, and a delivery that is there as a whole is taken from it; all
other frames go to py-amqp, in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

from amqp.exceptions import UnexpectedFrame
from amqp.transport import TCPTransport

from routewright.runtime.messages.message import Envelope
from routewright.runtime.transport.decode import Uncommon, read_envelope

CHUNK = 2**16  # bytes read at a time
MOST_BODY = 2**18  # bytes; of a larger body, what has come would be looked through time and again

_FRAME = Struct(">BHI").unpack_from  # type, channel, size
_FRAME_SIZE = 7
_TAG = Struct(">Q?").unpack_from  # delivery tag, redelivered
_BODY_SIZE = Struct(">Q").unpack_from
_DELIVER = b"\x00\x3c\x00\x3c"
_METHOD, _HEADER, _BODY = 1, 2, 3
_END = 0xCE

Taken = Callable[[str, int, bool, Envelope], None]
"""Is told of a delivery: the consumer's tag, its own, whether it came before, the message.

Its own tag is unique on the connection: that of the first channel is as it came, and those of the
others have the channel's number above their 64 bits.
"""

TAG_BITS = 64


class Inbox:
    """Reads one connection, for the deliveries of one channel, and of those in `others`.

    Args:
        connection: py-amqp's.
        channel: the channel's number.
        take: is given the deliveries that are read here; all others come by py-amqp's callbacks.
    """

    def __init__(self, connection: Any, channel: int, take: Taken) -> None:
        self._connection = connection
        self._channel = channel
        self._take = take
        self.others: set[int] = set()

    @property
    def can_read(self) -> bool:
        """True over plain TCP; of TLS, more may be there than the socket shows."""
        return type(self._connection.transport) is TCPTransport

    def read(self) -> None:
        """Deals with what is there; something must be.

        Raises:
            OSError: the connection is closed.
            AMQPError: the broker closed the connection or a channel.
        """
        transport = self._connection.transport
        received = transport.sock.recv(CHUNK)
        if not received:
            raise ConnectionError("the broker closed the connection")
        self._connection.bytes_recv += 1  # by which py-amqp knows that the broker lives
        # What remains stays where py-amqp looks first, for it may be the next to read.
        data = bytes(transport._read_buffer) + received  # noqa: SLF001  there is no other way
        frames, at = self._whole(data)
        transport._read_buffer = data[at:]  # noqa: SLF001
        for frame in frames:
            if isinstance(frame, tuple):
                self._connection.on_inbound_frame(frame)
            else:
                frame()

    def _whole(self, data: bytes) -> tuple[list[Any], int]:
        """Returns what is there as a whole, in order, and where the rest begins."""
        found: list[Any] = []
        at = 0
        while (end := _end(data, at)) is not None:
            kind, channel, _ = _FRAME(data, at)
            payload = data[at + _FRAME_SIZE : end - 1]
            if (
                kind == _METHOD
                and (channel == self._channel or channel in self.others)
                and payload.startswith(_DELIVER)
            ):
                delivery = self._delivery(data, payload, channel, end)
                if delivery is None:
                    break  # the rest of it is yet to come
                taken, end = delivery
                if taken is not None:
                    found.append(taken)
                    at = end
                    continue
            found.append((kind, channel, payload))
            at = end
        return found, at

    def _delivery(
        self, data: bytes, method: bytes, channel: int, at: int
    ) -> tuple[Callable[[], None] | None, int] | None:
        """A delivery whose method ends at a place: how to take it, and where it ends.

        None where it is not there as a whole; nothing to take where it is for py-amqp to read.
        """
        header = _end(data, at)
        if header is None:
            return None
        (size,) = _BODY_SIZE(data, at + _FRAME_SIZE + 4)
        if _FRAME(data, at)[:2] != (_HEADER, channel) or size > MOST_BODY:
            return None, at
        place, parts = header, []
        while size > 0:
            end = _end(data, place)
            if end is None:
                return None
            if _FRAME(data, place)[:2] != (_BODY, channel):
                return None, at
            parts.append(data[place + _FRAME_SIZE : end - 1])
            size -= len(parts[-1])
            place = end
        try:
            envelope = read_envelope(data[at + _FRAME_SIZE + 12 : header - 1], b"".join(parts))
        except Uncommon:
            return None, at
        stop = 5 + method[4]
        consumer = method[5:stop].decode()
        tag, again = _TAG(method, stop)
        if channel != self._channel:
            tag |= channel << TAG_BITS
        return lambda: self._take(consumer, tag, again, envelope), place


def _end(data: bytes, at: int) -> int | None:
    """Where the frame at a place ends, if it is there as a whole.

    Raises:
        UnexpectedFrame: it does not end as a frame does.
    """
    if len(data) - at < _FRAME_SIZE:
        return None
    end = at + _FRAME_SIZE + int(_FRAME(data, at)[2]) + 1
    if end > len(data):
        return None
    if data[end - 1] != _END:
        raise UnexpectedFrame(f"a frame ends with {data[end - 1]:#04x} and not with 0xce")
    return end
