"""Serializers of the application's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kombu import serialization

from routewright.runtime.errors import InvalidOption

BINARY = "binary"
BUILT_IN = frozenset(("json", "yaml", "msgpack", "pickle", "raw"))


def register_serializer(
    name: str,
    encode: Callable[[Any], bytes | str],
    decode: Callable[[Any], Any],
    content_type: str,
    content_encoding: str = "utf-8",
) -> None:
    """Make a serializer known, in every process that sends by it and in every worker that reads it.

    The topology must say that workers read it: `accept: [json, NAME]` in their group.

    Args:
        name: what `serializer` and `accept` call it, in small or capital letters.
        encode: makes text or bytes of `[args, kwargs, embed]`.
        decode: makes that again of text, or of bytes if the encoding is `binary`.
        content_type: what marks its messages, such as `application/x-mine`.
        content_encoding: of the text, or `binary`.

    Raises:
        InvalidOption: the name or the content type is another serializer's.
    """
    known = serialization.registry.name_to_type
    lower = name.lower()
    if lower in BUILT_IN:
        raise InvalidOption(f"serializer `{name}` is there already; choose another name")
    other = next((it for it, kind in known.items() if kind == content_type and it != lower), None)
    if other is not None:
        raise InvalidOption(
            f"content type {content_type} is that of serializer `{other}`; choose another one"
        )

    def read(data: bytes | memoryview | str) -> Any:
        if isinstance(data, str):  # a virtual transport has decoded it
            return decode(data)
        body = bytes(data)
        return decode(body if content_encoding == BINARY else body.decode(content_encoding))

    serialization.register(lower, encode, read, content_type, content_encoding)
