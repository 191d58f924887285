"""Slips in the text of a file, which keep it from being read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from planted.slip import Planting, Slip
from planted.sound import Sound, text_of

_DEEP = 45
_LARGE = 16 * 2**20
_MANY = 1001  # errors, one more than are shown


def _queue(its: str, about: str, *, name: str = "zz") -> Callable[[Sound], Iterator[Slip]]:
    """A further queue, written in a way that YAML or the language does not take."""

    def planting(base: Sound) -> Iterator[Slip]:
        text = text_of(base.document)
        head = "\nqueues:\n"
        if head in text:
            made = text.replace(head, f"{head}  {name}:{its}\n", 1)
            yield about, made.encode("utf-8", "surrogateescape")

    planting.__name__ = f"queue {name!a} {its!a:.25}"
    return planting


def _aliases(levels: int) -> str:
    """Lists of ten of the list before, which has ten of the one before it."""
    lines = ["&z0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"&z{n} [{', '.join([f'*z{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n    arguments:" + "".join(f"\n      a{n}: {it}" for n, it in enumerate(lines))


def _nothing(base: Sound) -> Iterator[Slip]:
    for text in ("", f"# {base.name}\n", "\n---\n"):
        yield "declares nothing", text.encode()


def _second_document(base: Sound) -> Iterator[Slip]:
    yield "a second YAML document", f"{text_of(base.document)}---\ntopology: zz\n".encode()


def _too_many(base: Sound) -> Iterator[Slip]:
    """One more error than are shown."""
    if base.name == "topology":  # this takes a while too
        document = base.changed()
        document["queues"] |= {f"z{number}": {"zz": 1} for number in range(_MANY)}
        yield "not shown", document


def _too_large(base: Sound) -> Iterator[Slip]:
    if base.name == "topology":  # one of these is enough to read
        yield "16,777,216", f"{text_of(base.document)}#".encode().ljust(_LARGE + 1, b"#")


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "file-too-large": (_too_large,),
    "empty-file": (_nothing,),
    "several-documents": (_second_document,),
    "not-utf-8": (_queue(" {}", "0xff", name="z\udcff"),),
    "unprintable-character": (_queue(" {}", "U+0007", name="z\x07"),),
    "yaml-syntax": (_queue(" {max_length: 5", "not YAML"),),
    "tab-indentation": (_queue("\n\tmax_length: 5", "a tab"),),
    "star-starts-alias": (_queue("\n    binding_key: *.zz", "`*.zz`"),),
    "unknown-alias": (_queue("\n    binding_key: *zz", "`*zz`"),),
    "hash-starts-comment": (_queue("\n    binding_key: #.zz", "`#.zz`"),),
    "unquoted-variable": (_queue(" {max_length: ${ZZ:-5}}", "`${ZZ:-5}`"),),
    "duplicate-key": (
        _queue(" {}\n  zz: {}", "`zz`"),
        _queue(" {max_length: 5, max_length: 6}", "`max_length`"),
    ),
    "sexagesimal-number": (_queue(" {message_ttl: 1:30}", "`1:30`"),),
    "octal-number": (_queue(" {max_length: 010}", "`010`"),),
    "number-too-large": (_queue(" {max_length: 99999999999999999999}", "`99999999999999999999`"),),
    "boolean-for-text": (
        _queue(" {overflow: no}", "`no`"),
        _queue(" {}", "`on`", name="on"),
    ),
    "number-for-text": (_queue(" {}", "`2024`", name="2024"),),
    "missing-value": (
        _queue("\n    exchange:", "nothing here"),
        _queue(" {overflow: ~}", "`~`"),
    ),
    "unknown-tag": (_queue(" {overflow: !zz drop-head}", "`!zz`"),),
    "malformed-value": (_queue(" {max_length: !!int many}", "`many`"),),
    "nested-too-deeply": (_queue(f" {'[' * _DEEP}{']' * _DEEP}", "more than 40"),),
    "recursive-alias": (_queue(" &zz {arguments: {x-zz: *zz}}", "stands for the value itself"),),
    "too-many-values": (_queue(_aliases(7), "more than 1,000,000 values"),),
    "unset-variable": (_queue(' {overflow: "${ZZ_UNSET}"}', "`ZZ_UNSET`"),),
    "malformed-variable": (_queue(' {overflow: "${}"}', "`${}`"),),
    "too-many-errors": (_too_many,),
}
