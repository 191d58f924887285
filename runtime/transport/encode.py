"""One publish as the bytes of its AMQP 0-9-1 frames.

py-amqp would take four times as long over them, most of it over the headers. What is rare among
headers is left to py-amqp, and the bytes are the same as its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

from amqp.serialization import dumps

from routewright.runtime.messages.message import Envelope

TRANSIENT = 1
PERSISTENT = 2
MAX_INT = 2**31 - 1
MAX_NAMES = 1024  # of headers, that are kept packed

_FRAME = Struct(">BHI").pack  # type, channel, size
_END = b"\xce"
_METHOD = b"\x00\x3c\x00\x28\x00\x00"  # basic.publish, and a reserved field
_CONTENT = Struct(">HHQ").pack  # class, weight, body size
_LONG_TEXT = Struct(">cI").pack
_NO_LIMITS = [None, None]  # as most tasks have them
_PACKED_NO_LIMITS = b"A\0\0\0\2VV"
_EMPTY_TABLE = b"F\0\0\0\0"
_INT = Struct(">ci").pack
_SIZE = Struct(">I").pack


def publish_frames(
    channel: int, frame_max: int, address: bytes, properties: bytes, body: bytes
) -> bytes:
    """The method, the header and the body of a publish, ready for the socket.

    Args:
        channel: the channel's number.
        frame_max: what was negotiated; a longer body takes several frames.
        address: exchange, routing key and flags, as `publish_address` packs them.
        properties: as `publish_properties` packs them.
        body: the payload.
    """
    size = len(body)
    parts = [
        _FRAME(1, channel, len(address)),
        address,
        _END,
        _FRAME(2, channel, 12 + len(properties)),
        _CONTENT(60, 0, size),
        properties,
        _END,
    ]
    step = frame_max - 8  # what the frame's own start and end leave
    for start in range(0, size, step):
        piece = body[start : start + step]
        parts += (_FRAME(3, channel, len(piece)), piece, _END)
    return b"".join(parts)


@lru_cache(maxsize=1024)
def publish_address(exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """The method of a publish: where to, and whether it must reach a queue."""
    return b"".join((_METHOD, _short(exchange), _short(routing_key), b"\1" if mandatory else b"\0"))


def publish_properties(
    envelope: Envelope, priority: int | None, delivery_mode: int = PERSISTENT
) -> bytes:
    """The properties of a message that are set, and flags that tell which."""
    flags = 0xF000  # content type, content encoding, headers, delivery mode
    parts = [
        _short(envelope.content_type),
        _short(envelope.content_encoding),
        _table(envelope.headers),
        bytes((delivery_mode,)),
    ]
    if priority is not None:
        flags |= 0x0800
        parts.append(bytes((priority,)))
    for flag, text in (
        (0x0400, envelope.correlation_id),
        (0x0200, envelope.reply_to),
        (0x0100, envelope.expiration),
    ):
        if text is not None:
            flags |= flag
            parts.append(_short(text))
    return flags.to_bytes(2, "big") + b"".join(parts)


def _short(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return bytes((len(data),)) + data


class _Names(dict[str, bytes]):
    """The packed names of headers, each with what always follows it, made when first asked for."""

    def __init__(self, suffix: bytes) -> None:
        super().__init__()
        self._suffix = suffix

    def __missing__(self, name: str) -> bytes:
        packed = _short(name) + self._suffix
        if len(self) < MAX_NAMES:
            self[name] = packed
        return packed


_name, _name_of_text, _name_of_nothing = _Names(b""), _Names(b"S"), _Names(b"V")


def _table(table: Mapping[str, Any]) -> bytes:
    parts: list[bytes] = []
    add = parts.append
    for name, value in table.items():  # without a call for what most values are
        kind = type(value)
        if kind is str:
            data = value.encode("utf-8", "surrogatepass")
            add(_name_of_text[name])
            add(_SIZE(len(data)))
            add(data)
        elif value is None:
            add(_name_of_nothing[name])
        else:
            add(_name[name])
            add(_PACKERS.get(kind, _rare)(value))
    packed = b"".join(parts)
    return _SIZE(len(packed)) + packed


def _nothing(_value: object) -> bytes:
    return b"V"


def _truth(value: bool) -> bytes:
    return b"t\1" if value else b"t\0"


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return _LONG_TEXT(b"S", len(data)) + data


def _number(value: int) -> bytes:
    return _INT(b"I", value) if -MAX_INT <= value <= MAX_INT else _rare(value)


def _array(values: list[Any]) -> bytes:
    if values == _NO_LIMITS:
        return _PACKED_NO_LIMITS
    data = b"".join([_PACKERS.get(type(value), _rare)(value) for value in values])
    return _LONG_TEXT(b"A", len(data)) + data


def _rare(value: object) -> bytes:
    array: bytes = dumps("A", ([value],))
    return array[4:]  # an array of one, without the array's size


_PACKERS: dict[type, Callable[[Any], bytes]] = {
    type(None): _nothing,
    bool: _truth,
    str: _text,
    int: _number,
    list: _array,
    dict: lambda value: b"F" + _table(value) if value else _EMPTY_TABLE,
}
