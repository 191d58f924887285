"""Bodies that a Celery client has compressed, read up to a bound."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol

MOST = 2**27  # bytes; what RabbitMQ takes as a message


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_KINDS: Mapping[str, Callable[[], _Decompressor]] = {
    "application/x-gzip": zlib.decompressobj,  # kombu's name for it; it is zlib's format
    "application/x-bz2": bz2.BZ2Decompressor,
    "application/x-lzma": lzma.LZMADecompressor,
}


def decompressed(body: bytes, kind: object) -> bytes:
    """The body that was compressed, as the header `compression` names it.

    Raises:
        ValueError: the kind is not known, the body is none of it, or is too large.
    """
    start = _KINDS.get(kind) if isinstance(kind, str) else None
    if start is None:
        raise ValueError(f"compression {kind!r} is not known")
    try:
        plain = start().decompress(body, MOST + 1)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        raise ValueError(f"the body is not compressed as {kind}: {error}") from error
    if len(plain) > MOST:
        raise ValueError(f"the body is larger than {MOST:,} bytes when it is decompressed")
    return plain
