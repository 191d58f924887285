"""Slips in what is carved out of a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from planted.slip import Planting, Slip, with_queue
from planted.sound import Document, Sound


def _keys_that_nobody_gets(base: Sound) -> Iterator[Slip]:
    """The original queue does not get the keys that are carved out of it."""
    for _, _, carved in _carvings(base, lambda _: "zz.never"):
        yield "`zz.never`", with_queue(base, carved)


def _carved_out_twice(base: Sound) -> Iterator[Slip]:
    for _, _, carved in _carvings(base, _one_of):
        document = with_queue(base, carved)
        document["queues"]["again"] = dict(carved)
        document["workers"].setdefault("extra", {"queues": []})["queues"].append("again")
        yield "`extra` and `again`", document


def _more_than_the_original(base: Sound) -> Iterator[Slip]:
    """All keys are carved out of a queue that gets a part of them."""
    for _, _, carved in _carvings(base, lambda _: "#"):
        yield "`#`", with_queue(base, carved)


def _part_of_the_keys_watched(base: Sound) -> Iterator[Slip]:
    """A tap gets `*.zz` of the keys `a.*` that are carved out, and no pattern says just those."""
    for exchange, key, carved in _carvings(base, lambda key: f"{key[:-1]}*"):
        if key.endswith(".#"):
            document = with_queue(base, carved)
            parts = ["*" if place == 0 else it for place, it in enumerate(key.split(".")[:-1])]
            binding = {"exchange": exchange, "binding_key": ".".join([*parts, "zz"])}
            document["queues"]["watch"] = {"bindings": [binding], "tap": True}
            yield "to `watch`, and no binding key says just that part", document


def _got_round(base: Sound) -> Iterator[Slip]:
    """A task is sent to an exchange that leads everything to the carved one, past its front."""
    for exchange, key, carved in _carvings(base, _one_of):
        document = with_queue(base, carved)
        document["exchanges"]["around"] = {"type": "fanout"}
        bindings = document["exchanges"][exchange].setdefault("bindings", [])
        bindings.append({"exchange": "around"})
        document["tasks"]["around"] = {"exchange": "around", "routing_key": _one_of(key)}
        yield "`around`", document


def _without_keys(base: Sound) -> Iterator[Slip]:
    for queue, _, _ in _originals(base):
        yield "`extra`", with_queue(base, {"carve_out_of": queue})


def _of_no_exchange(base: Sound) -> Iterator[Slip]:
    """No exchange leads such keys to the original queue, and none is named."""
    for queue, _, _ in _originals(base):
        document = with_queue(base, {"carve_out_of": queue, "binding_key": "zz.never"})
        yield f"leads `zz.never` to `{queue}`", document


def _of_an_unknown_queue(base: Sound) -> Iterator[Slip]:
    for queue, _, key in _originals(base):
        carved = {"carve_out_of": f"{queue}x", "binding_key": _one_of(key)}
        yield f"`{queue}x`", with_queue(base, carved)


def _carvings(
    base: Sound, key_of: Callable[[str], str]
) -> Iterator[tuple[str, str, dict[str, str]]]:
    """For each original: its exchange, its key, and a queue that takes a key out of it."""
    for queue, exchange, key in _originals(base):
        carved = {"carve_out_of": queue, "exchange": exchange, "binding_key": key_of(key)}
        yield exchange, key, carved


def _originals(base: Sound) -> Iterator[tuple[str, str, str]]:
    """Consumed queues whose only binding is one of a declared topic exchange, not of all keys."""
    consumed = {name for name, _ in base.consumed()}
    for section, name, _, binding in base.bindings("topic"):
        queue: Document = base.document[section][name]
        alone = section == "queues" and name in consumed and len(queue["bindings"]) == 1
        first = binding["binding_key"].split(".")[0]
        declared = binding["exchange"] in base.document["exchanges"]
        if alone and declared and first not in ("", "*", "#"):
            yield name, binding["exchange"], binding["binding_key"]


def _one_of(pattern: str) -> str:
    """A key that a pattern matches."""
    return ".".join("zz" if word in ("*", "#") else word for word in pattern.split("."))


PLANTINGS: dict[str, tuple[Planting, ...]] = {
    "impossible-carve-out": (
        _keys_that_nobody_gets,
        _carved_out_twice,
        _more_than_the_original,
        _part_of_the_keys_watched,
        _got_round,
    ),
    "malformed-carve-out": (
        _without_keys,
        _of_no_exchange,
    ),
    "unknown-queue": (_of_an_unknown_queue,),
}
