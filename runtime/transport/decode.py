"""A reader of the properties of AMQP messages, for what is common among them.

py-amqp takes four times as long. What is not common is left to it: then there is no answer here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any

from routewright.runtime.messages.amqp_values import from_amqp
from routewright.runtime.messages.message import Envelope

_SHORT = Struct(">H").unpack_from
_LONG = Struct(">I").unpack_from

_MOST_DEEP = 8
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS = 0x8000, 0x4000, 0x2000
_DELIVERY_MODE, _PRIORITY, _CORRELATION_ID = 0x1000, 0x0800, 0x0400
_REPLY_TO, _EXPIRATION = 0x0200, 0x0100
_COMMON = 0xFF00


class Uncommon(Exception):
    """It is for py-amqp to read."""


def read_envelope(properties: bytes, body: bytes) -> Envelope:
    """The envelope of a message that arrived.

    Args:
        properties: the flags, and the properties that they tell of.
        body: the payload.

    Raises:
        Uncommon: something in it is not read here, or is malformed.
    """
    try:
        return _envelope(properties, body)
    except (LookupError, ValueError, struct.error) as error:
        raise Uncommon from error


def _envelope(data: bytes, body: bytes) -> Envelope:
    (flags,) = _SHORT(data)
    if flags & ~_COMMON:
        raise Uncommon
    at = 2
    content_type = content_encoding = ""
    correlation_id = reply_to = priority = None
    headers: dict[str, Any] = {}
    if flags & _CONTENT_TYPE:
        content_type, at = _text(data, at)
    if flags & _CONTENT_ENCODING:
        content_encoding, at = _text(data, at)
    if flags & _HEADERS:
        headers, at = _table(data, at, _MOST_DEEP)
    if flags & _DELIVERY_MODE:
        at += 1
    if flags & _PRIORITY:
        priority = from_amqp(data[at])
        at += 1
    if flags & _CORRELATION_ID:
        correlation_id, at = _text(data, at)
    if flags & _REPLY_TO:
        reply_to, at = _text(data, at)
    if flags & _EXPIRATION:
        _, at = _text(data, at)
    if at != len(data):
        raise Uncommon
    return Envelope(
        body,
        content_type,
        content_encoding,
        headers,
        correlation_id=correlation_id,
        reply_to=reply_to,
        priority=priority,
    )


def _text(data: bytes, at: int) -> tuple[str, int]:
    at += 1
    end = at + data[at - 1]
    return data[at:end].decode(), end


def _table(data: bytes, at: int, deep: int) -> tuple[dict[str, Any], int]:
    at, end = _extent(data, at, deep)
    found: dict[str, Any] = {}
    while at < end:
        at += 1
        stop = at + data[at - 1]
        name = data[at:stop].decode()
        kind = data[stop]
        at = stop + 1
        if kind == _TEXT:  # without a call for what most values are
            (size,) = _LONG(data, at)
            at += 4
            stop = at + size
            found[name] = data[at:stop].decode()
            at = stop
        elif kind == _NOTHING:
            found[name] = None
        else:
            found[name], at = _READERS[kind](data, at, deep - 1)
    if at != end:
        raise Uncommon
    return found, at


def _array(data: bytes, at: int, deep: int) -> tuple[list[Any], int]:
    at, end = _extent(data, at, deep)
    found = []
    while at < end:
        value, at = _READERS[data[at]](data, at + 1, deep - 1)
        found.append(value)
    if at != end:
        raise Uncommon
    return found, at


def _extent(data: bytes, at: int, deep: int) -> tuple[int, int]:
    """Where the items of a table or an array begin and end."""
    (size,) = _LONG(data, at)
    end = at + 4 + size
    if end > len(data) or not deep:
        raise Uncommon
    return at + 4, end


def _long_text(data: bytes, at: int, _deep: int) -> tuple[str, int]:
    (size,) = _LONG(data, at)
    end = at + 4 + size
    if end > len(data):
        raise Uncommon
    return data[at + 4 : end].decode(), end


def _number(form: str) -> Callable[[bytes, int, int], tuple[Any, int]]:
    packed = Struct(form)
    return lambda data, at, _deep: (packed.unpack_from(data, at)[0], at + packed.size)


_TEXT, _NOTHING = b"SV"

_READERS: Mapping[int, Callable[[bytes, int, int], tuple[Any, int]]] = {
    _TEXT: _long_text,
    _NOTHING: lambda _data, at, _deep: (None, at),
    ord("t"): lambda data, at, _deep: (bool(data[at]), at + 1),
    ord("I"): _number(">i"),
    ord("l"): _number(">q"),
    ord("d"): _number(">d"),
    ord("F"): _table,
    ord("A"): _array,
}
