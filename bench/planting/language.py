"""Slips in carve-outs, assertions, placeholders, and in names of tasks that are patterns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from brute_force import BruteForce, topic_matches

from planting.slips import Planting, Slip
from planting.sound_topologies import Document, Sound, topology_of


def _patterns_that_cross(base: Sound) -> Iterator[Slip]:
    """`a.b.*` gets company by `a.*.zz`: `a.b.zz` is a name of both."""
    for name in base.whole["tasks"]:
        words = name.split(".")
        if words[-1] != "*" or len(words) < 3 or "*" in words[:-1]:
            continue
        crossing = ".".join([*words[:-2], "*", "zz"])
        shared = ".".join([*words[:-1], "zz"])
        assert topic_matches(name, shared)
        assert topic_matches(crossing, shared)
        document = base.whole
        document["tasks"][crossing] = dict(document["tasks"][name])
        yield f"`{shared}`", document


def _pattern_inside_a_word(base: Sound) -> Iterator[Slip]:
    for name in base.whole["tasks"]:
        if name.endswith((".*", ".#")):
            document = base.whole
            misspelt = f"{name[:-1]}x{name[-1]}"
            del document["tasks"][name]
            document["tasks"][misspelt] = {"routing_key": "x.y"}
            yield f"`x{name[-1]}`", document


def _placeholder_inside_a_word(base: Sound) -> Iterator[Slip]:
    for name, task in base.whole["tasks"].items():
        key = task.get("routing_key", "")
        if "{" in key:
            document = base.whole
            document["tasks"][name]["routing_key"] = key.replace("{", "no-{", 1)
            yield "`no-{", document


def _parameter_of_no_placeholder(base: Sound) -> Iterator[Slip]:
    for name in base.whole["tasks"]:
        document = base.whole
        document["tasks"][name].setdefault("parameters", {})["zz"] = ["a"]
        yield "`{zz}`", document


def _value_that_is_no_word(base: Sound) -> Iterator[Slip]:
    for name, task in base.whole["tasks"].items():
        for parameter, value in product(task.get("parameters", {}), ("a.b", "", "*", "#")):
            document = base.whole
            document["tasks"][name]["parameters"][parameter].append(value)
            yield f"`{value}`", document


def _placeholder_leads_nowhere(base: Sound) -> Iterator[Slip]:
    """The first word of a key with placeholders is wrong, and no value of theirs mends it."""
    for name, task in base.topology.tasks.items():
        exchange, key = task.exchange, task.routing_key
        if exchange.type not in ("topic", "direct") or "{" not in key:
            continue
        slow = BruteForce(base.topology)
        misspelt = ".".join(["zz", *("yy" if "{" in word else word for word in key.split(".")[1:])])
        if not slow.queues(exchange.name, misspelt, dict(task.headers)):
            document = base.whole
            document["tasks"][name]["routing_key"] = f"zz.{key.partition('.')[2]}"
            yield f"`{exchange.name}`", document


def _key_left_out(base: Sound) -> Iterator[Slip]:
    for name, task in base.topology.tasks.items():
        if task.exchange.type in ("topic", "direct") and base.whole["tasks"][name]:
            document = base.whole
            document["tasks"][name].pop("routing_key", None)
            document["tasks"][name].pop("parameters", None)
            document.get("defaults", {}).pop("routing_key", None)
            yield f"`{name}`", document


def _default_exchange_lost(base: Sound) -> Iterator[Slip]:
    for name, task in base.whole["tasks"].items():
        document = base.whole
        if "exchange" not in (task or {}) and document.get("defaults", {}).pop("exchange", None):
            yield f"`{name}`", document


# Carve-outs


def _carved(base: Sound) -> Iterator[tuple[str, Document]]:
    for name, queue in base.whole["queues"].items():
        if queue and "carve_out_of" in queue:
            yield name, queue


def _carving_what_is_not_there(base: Sound) -> Iterator[Slip]:
    """The original queue gets no such key."""
    for name, _ in _carved(base):
        document = base.whole
        document["queues"][name]["binding_key"] = "zz.never"
        document["queues"][name]["exchange"] = _exchange_of(base, name)
        yield "`zz.never`", document


def _carving_beside_a_crossing(base: Sound) -> Iterator[Slip]:
    """A tap gets a part of the carved keys that no binding key describes."""
    for name, queue in _carved(base):
        words = queue["binding_key"].split(".")
        if "*" in words and words[-1] not in ("*", "#"):
            part = [*("zz" if word == "*" else word for word in words[:-1]), "#"]
            document = base.whole
            document["queues"]["extra"] = {
                "exchange": _exchange_of(base, name),
                "binding_key": ".".join(part),
                "tap": True,
            }
            yield f"`{queue['binding_key']}`", document


def _carving_twice(base: Sound) -> Iterator[Slip]:
    for name, queue in _carved(base):
        document = base.whole
        document["queues"]["extra"] = dict(queue)
        next(iter(document["workers"].values()))["queues"].append("extra")
        yield f"`{name}`", document


def _carving_without_keys(base: Sound) -> Iterator[Slip]:
    for name, _ in _carved(base):
        document = base.whole
        document["queues"][name].pop("binding_key")
        yield f"`{name}`", document


def _exchange_of(base: Sound, name: str) -> str:
    return next(
        it.exchange.name for it in base.topology_as_written.carve_outs if it.queue.name == name
    )


# Assertions


def _assertion_that_fails(base: Sound) -> Iterator[Slip]:
    """Of each assertion a twin that brute force refutes by one key."""
    slow = BruteForce(topology_of(base.whole))
    for index, (assertion, written) in enumerate(
        zip(base.topology_as_written.assertions, base.whole.get("assertions", ()), strict=True)
    ):
        exchange = assertion.exchange
        if exchange.type == "headers":
            continue
        for key in _likely_keys(base, assertion.keys):
            reached = sorted(slow.queues(exchange.name, key, {}))
            where = {"exchange": exchange.name, "keys": [key]}
            wrong: list[Document] = [{**where, "reach": [*reached[1:]]}] if reached else []
            wrong += [{**where, "never": reached[:1]}] if reached else []
            wrong += [{**where, "never_both": reached[:2]}] if len(reached) > 1 else []
            wrong += [] if reached else [{**where, "routable": True}]
            for claim in wrong:
                document = base.whole
                document["assertions"][index] = claim
                yield f"`{key}`", document
        assert written


def _likely_keys(base: Sound, patterns: tuple[str, ...]) -> list[str]:
    keys = [task.routing_key for task in base.tasks()]
    matched = [key for key in keys if any(topic_matches(it, key) for it in patterns)]
    return [*matched[:1], "zz.never.zz"]


def _assertion_of_two_claims(base: Sound) -> Iterator[Slip]:
    for index, assertion in enumerate(base.whole.get("assertions", ())):
        document = base.whole
        other = {"never": []} if "never" not in assertion else {"reach": []}
        document["assertions"][index] = {**assertion, **other}
        yield "one claim", document


def _assertion_without_exchange(base: Sound) -> Iterator[Slip]:
    if any("exchange" not in it for it in base.whole.get("assertions", ())):
        document = base.whole
        default = document["defaults"].pop("exchange")
        for task in document["tasks"].values():
            task.setdefault("exchange", default)
        yield "on which exchange", document


PLANTINGS: tuple[tuple[str, Planting], ...] = (
    ("ambiguous-task-name", _patterns_that_cross),
    ("wildcard-inside-task-name", _pattern_inside_a_word),
    ("malformed-placeholder", _placeholder_inside_a_word),
    ("unused-parameter", _parameter_of_no_placeholder),
    ("malformed-parameter", _value_that_is_no_word),
    ("unroutable-task", _placeholder_leads_nowhere),
    ("task-without-routing-key", _key_left_out),
    ("task-without-exchange", _default_exchange_lost),
    ("impossible-carve-out", _carving_what_is_not_there),
    ("impossible-carve-out", _carving_beside_a_crossing),
    ("impossible-carve-out", _carving_twice),
    ("malformed-carve-out", _carving_without_keys),
    ("failed-assertion", _assertion_that_fails),
    ("malformed-assertion", _assertion_of_two_claims),
    ("assertion-without-exchange", _assertion_without_exchange),
)
