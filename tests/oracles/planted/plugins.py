"""Slips in exchanges whose types plugins bring."""

from __future__ import annotations

from collections.abc import Iterator

from planted.slip import Planting, Slip
from planted.sound import Document, Sound


def _with_exchange(base: Sound, kind: str, **arguments: object) -> Iterator[Document]:
    """The document with another exchange, `extra`, where there is a broker for it."""
    if not base.is_virtual:
        document = base.changed_whole()
        document["exchanges"]["extra"] = {"type": kind, "arguments": arguments}
        yield document


def _delayed_as_nothing(base: Sound) -> Iterator[Slip]:
    for document in _with_exchange(base, "x-delayed-message"):
        yield "`extra`", document
    for document in _with_exchange(base, "x-delayed-message", **{"x-delayed-type": "topics"}):
        yield "`topics`", document


def _weight_that_is_none(base: Sound) -> Iterator[Slip]:
    for weight in ("0", "-1", "1.5", "video.#", ""):
        for document in _with_exchange(base, "x-consistent-hash"):
            binding = {"exchange": "extra", "binding_key": weight}
            document["queues"]["extra"] = {"bindings": [binding], "tap": True}
            yield f"`{weight}`", document


def _work_with_a_history(base: Sound) -> Iterator[Slip]:
    for document in _with_exchange(base, "x-recent-history"):
        if document["workers"]:
            document["queues"]["extra"] = {"bindings": [{"exchange": "extra"}]}
            document["tasks"]["extra"] = {"exchange": "extra"}
            document["workers"]["extra"] = {"queues": ["extra"]}
            yield "`extra`", document


def _delayed_and_mandatory(base: Sound) -> Iterator[Slip]:
    for document in _with_exchange(base, "x-delayed-message", **{"x-delayed-type": "fanout"}):
        document["queues"]["extra"] = {"bindings": [{"exchange": "extra"}]}
        document["tasks"]["extra"] = {"exchange": "extra", "headers": {"x-delay": 60_000}}
        if document["workers"]:
            document["workers"]["extra"] = {"queues": ["extra"]}
        yield "`extra`", document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "malformed-delayed-type": (_delayed_as_nothing,),
    "malformed-weight": (_weight_that_is_none,),
    "history-for-work-queue": (_work_with_a_history,),
    "mandatory-delayed-task": (_delayed_and_mandatory,),
}
