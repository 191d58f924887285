"""Assertions that do not hold, by brute force, of a topology that nothing else is wrong with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from brute_force import BruteForce

from planted.slip import Planting, Slip
from planted.sound import Document, Sound


def _reach_of_others(base: Sound) -> Iterator[Slip]:
    for exchange, key, reached in _ways(base):
        for other in sorted(base.document["queues"].keys() - reached)[:1]:
            yield _asserting(base, exchange, key, reach=[other])


def _reach_of_some(base: Sound) -> Iterator[Slip]:
    for exchange, key, reached in _ways(base):
        yield _asserting(base, exchange, key, reach=sorted(reached)[1:])


def _reach_of_every_key(base: Sound) -> Iterator[Slip]:
    """What is so of one key is asserted of all, and of another it is not so."""
    for exchange, _, reached in _ways(base):
        if BruteForce(base.topology).queues(exchange, "zz.never", {}) != reached:
            claim = {"exchange": exchange, "reach": sorted(reached)}
            yield f"on exchange `{exchange}` reaches", _with(base, claim)


def _never(base: Sound) -> Iterator[Slip]:
    for exchange, key, reached in _ways(base):
        yield _asserting(base, exchange, key, never=[min(reached)])


def _never_both(base: Sound) -> Iterator[Slip]:
    for exchange, key, reached in _ways(base):
        if len(reached) > 1:
            yield _asserting(base, exchange, key, never_both=sorted(reached))


def _routable(base: Sound) -> Iterator[Slip]:
    for exchange in sorted({exchange for exchange, _, _ in _ways(base)}):
        if not BruteForce(base.topology).queues(exchange, "zz.never", {}):
            yield _asserting(base, exchange, "zz.never", routable=True)


def _several_claims(base: Sound) -> Iterator[Slip]:
    for exchange, key, reached in _ways(base):
        for claims in ({}, {"routable": True, "never": sorted(reached)}):
            _, document = _asserting(base, exchange, key, **claims)
            yield "an assertion makes one claim", document


def _of_no_exchange(base: Sound) -> Iterator[Slip]:
    document = _with(base, {"routable": True})
    if "exchange" in document.get("defaults", {}):
        exchange = document["defaults"].pop("exchange")
        for task in document["tasks"].values():
            task.setdefault("exchange", exchange)
    yield "nothing says on which exchange", document


def _ways(base: Sound) -> Iterator[tuple[str, str, set[str]]]:
    """Exchanges, keys and the queues that they reach without any headers."""
    slow = BruteForce(base.topology)
    for task in base.tasks():
        reached = slow.queues(task.exchange.name, task.routing_key, {})
        if reached:
            yield task.exchange.name, task.routing_key, reached


def _asserting(base: Sound, exchange: str, key: str, **claims: Any) -> tuple[str, Document]:
    claim = {"exchange": exchange, "keys": key, **claims}
    return f"`{key}` on exchange `{exchange}` reaches", _with(base, claim)


def _with(base: Sound, claim: Document) -> Document:
    document = base.changed()
    document["assertions"] = [claim]
    return document


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "failed-assertion": (
        _reach_of_others,
        _reach_of_some,
        _reach_of_every_key,
        _never,
        _never_both,
        _routable,
    ),
    "malformed-assertion": (_several_claims,),
    "assertion-without-exchange": (_of_no_exchange,),
}
