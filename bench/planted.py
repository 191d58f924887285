"""Defects planted in sound topologies, each with the code that must be reported for it.

A planting knows one kind of slip and finds every place of a topology to make it in. Whether a slip
is the defect that it should be is decided here without the compiler's own reasoning: by how it is
made, or by brute force.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from brute_force import BruteForce, topic_matches

from routewright.compiler import compile_text
from routewright.compiler.topology import Task, Topology

ROOT = Path(__file__).parent.parent
SOUND_FILES = (
    ROOT / "topology.yaml",
    *sorted((ROOT / "tests" / "compiler" / "sound").glob("*.yaml")),
)
_MOST_PLACES = 8  # of one planting in one topology

Document: TypeAlias = dict[str, Any]
Slip: TypeAlias = tuple[str, Document]
"""What the diagnostic must speak of, and the topology with the slip in it."""

FURTHER = {
    "events": """
topology: events
target: rabbitmq-3.x
defaults: {exchange: events}
exchanges:
  entry: {type: direct, alternate_exchange: events}
  events: {type: topic, alternate_exchange: unheard}
  regions: {type: topic, bindings: [{exchange: events, binding_key: "region.#"}]}
  unheard: {type: fanout, internal: true}
queues:
  orders: {bindings: [{exchange: events, binding_key: "order.*.placed"},
                      {exchange: events, binding_key: "order.*.paid"}], max_length: 1000}
  refunds: {exchange: events, binding_key: "order.*.refunded.#", type: quorum}
  europe: {exchange: regions, binding_key: "region.eu.#"}
  america: {exchange: regions, binding_key: "region.us.#"}
  urgent: {exchange: entry, binding_key: urgent}
  everything: {exchange: events, binding_key: "order.#", tap: true}
  unheard: {exchange: unheard, tap: true}
tasks:
  orders.ship: {routing_key: order.book.placed}
  orders.invoice: {routing_key: order.book.paid}
  orders.refund: {routing_key: order.book.refunded}
  regions.eu.report: {routing_key: region.eu.report}
  regions.us.report: {routing_key: region.us.report}
  alarm: {exchange: entry, routing_key: urgent}
workers:
  shop: {queues: [orders, refunds], concurrency: 4}
  reports: {queues: [europe, america]}
  alarms: {queues: [urgent]}
""",
    "pipeline": """
topology: pipeline
defaults: {exchange: steps}
exchanges:
  steps: {type: direct}
  results: {type: topic}
  broken: {type: topic}
queues:
  fetch: {exchange: steps, binding_key: fetch, dead_letter: {exchange: broken}}
  parse: {exchange: steps, binding_key: parse, dead_letter: {exchange: broken}}
  store: {exchange: steps, binding_key: store,
          dead_letter: {exchange: broken, routing_key: store.failed}}
  pages: {exchange: results, binding_key: "page.*.done"}
  images: {exchange: results, binding_key: "image.#.done"}
  broken: {bindings: [{exchange: broken, binding_key: "*"},
                      {exchange: broken, binding_key: "*.failed"}]}
tasks:
  step.fetch: {routing_key: fetch}
  step.parse: {routing_key: parse}
  step.store: {routing_key: store}
  page.done: {exchange: results, routing_key: page.7.done}
  image.done: {exchange: results, routing_key: image.large.7.done}
workers:
  steps: {queues: [fetch, parse, store], concurrency: 2}
  results: {queues: [pages, images], prefetch: 10}
""",
    "selection": """
topology: selection
defaults: {exchange: mail}
exchanges:
  mail: {type: headers}
  copies: {type: fanout, bindings: [{exchange: mail, arguments: {copy: true}}]}
  letters: {type: topic}
queues:
  priority: {bindings: [{exchange: mail, arguments: {x-match: all, class: first}}]}
  bulk: {bindings: [{exchange: mail, arguments: {x-match: any, class: second, size: 9}}]}
  copies: {exchange: copies, tap: true}
  by_hand: {exchange: letters, binding_key: "letter.*.#"}
tasks:
  send.first: {headers: {class: first}}
  send.second: {headers: {class: second}}
  write: {exchange: letters, routing_key: letter.a.b}
workers:
  post: {queues: [priority, bulk, by_hand], concurrency: 3}
""",
}


@dataclass(frozen=True)
class Sound:
    """A topology that nothing is wrong with; in `document` every queue has its bindings listed."""

    name: str
    text: str

    @cached_property
    def document(self) -> Document:
        document = yaml.safe_load(self.text)
        for section in ("exchanges", "queues", "tasks", "workers"):
            document[section] = {k: v or {} for k, v in (document.get(section) or {}).items()}
        # A binding may be missing only where no carve-out and no assertion needs it.
        document.pop("assertions", None)
        queues = document["queues"]
        carved = {name for name, queue in queues.items() if "carve_out_of" in queue}
        document["queues"] = {name: it for name, it in queues.items() if name not in carved}
        for group in document["workers"].values():
            group["queues"] = [name for name in group["queues"] if name not in carved]
        for queue in document["queues"].values():
            short = {it: queue.pop(it) for it in ("exchange", "binding_key") if it in queue}
            queue["bindings"] = [*queue.get("bindings", ()), *([short] if short else [])]
        return document

    @cached_property
    def topology(self) -> Topology:
        return topology_of(self.document)

    def changed(self) -> Document:
        return copy.deepcopy(self.document)

    def bindings(self, *types: str) -> Iterator[tuple[str, str, int, Any]]:
        """Those of exchanges of some types: where each stands in the document, and itself."""
        for section in ("exchanges", "queues"):
            for name, thing in self.document[section].items():
                for place, binding in enumerate(thing.get("bindings", ())):
                    source = self.topology.exchange(binding["exchange"])
                    if source and source.type in types:
                        yield section, name, place, binding

    def tasks(self) -> Iterator[Task]:
        """Those that are routed by a key that is written out."""
        for task in self.topology.tasks.values():
            keyed = task.exchange.type in ("topic", "direct") and task.exchange.name
            if keyed and "{" not in task.routing_key:
                yield task

    def consumed(self) -> Iterator[tuple[str, Document]]:
        """The queues that a worker group consumes."""
        for group in self.document["workers"].values():
            for name in group["queues"]:
                yield name, self.document["queues"][name]


@dataclass(frozen=True)
class Mutant:
    """A sound topology with a slip: its making, the code it must meet, and what that is about."""

    planting: str
    base: str
    code: str
    about: str
    text: str


def text_of(document: Document) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def topology_of(document: Document) -> Topology:
    compilation = compile_text(text_of(document))
    if compilation.topology is None:
        raise ValueError(f"no topology comes of this: {compilation.diagnostics[0].message}")
    return compilation.topology


def sound() -> list[Sound]:
    files = {path.stem: path.read_text() for path in SOUND_FILES}
    return [Sound(name, text) for name, text in (files | FURTHER).items()]


def mutants() -> Iterator[Mutant]:
    for base in sound():
        for code, planting in PLANTINGS:
            for about, document in islice(planting(base), _MOST_PLACES):
                name = planting.__name__.strip("_")
                yield Mutant(name, base.name, code, about, text_of(document))


# What routing decides


def _key_misspelt(base: Sound) -> Iterator[Slip]:
    """The first word of a task's key is wrong, and no binding matches."""
    for task, document in _misspelt(base):
        if not _reached(document, task.name):
            yield f"`zz{task.routing_key}`", document


def _key_misspelt_and_caught(base: Sound) -> Iterator[Slip]:
    """The same, where an alternate exchange takes every key."""
    for task, document in _misspelt(base):
        exchange = document["exchanges"].get(task.exchange.name)
        if exchange is None:
            continue
        if "alternate_exchange" not in exchange:
            exchange["alternate_exchange"] = "caught"
            document["exchanges"]["caught"] = {"type": "fanout"}
            document["queues"]["caught"] = {"bindings": [{"exchange": "caught"}], "tap": True}
        topology = topology_of(document)
        where = (task.exchange.name, f"zz{task.routing_key}", dict(task.headers))
        slow = BruteForce(topology)
        if slow.queues(*where) and slow.by_alternate(*where):
            yield f"`zz{task.routing_key}`", document


def _misspelt(base: Sound) -> Iterator[tuple[Task, Document]]:
    for task in base.tasks():
        document = base.changed()
        document["tasks"][task.name]["routing_key"] = f"zz{task.routing_key}"
        yield task, document


def _binding_lost(base: Sound) -> Iterator[Slip]:
    """A binding is taken away that a task needs."""
    for section, name, place, _ in base.bindings("topic", "direct", "fanout", "headers"):
        document = base.changed()
        del document[section][name]["bindings"][place]
        for task in base.tasks():
            if _reached(base.document, task.name) and not _reached(document, task.name):
                yield f"`{task.routing_key}`", document
                break


def _second_queue(base: Sound) -> Iterator[Slip]:
    """Another work queue is bound with the key of a task."""
    for task in base.tasks():
        if not task.multicast and _works(_reached(base.document, task.name), base.topology):
            binding = {"exchange": task.exchange.name, "binding_key": task.routing_key}
            yield f"`{task.name}`", _with_queue(base, {"bindings": [binding]})


def _binding_widened(base: Sound) -> Iterator[Slip]:
    """A binding key of one work queue becomes `#`, and the tasks of another reach it too."""
    for section, name, place, _ in base.bindings("topic"):
        document = base.changed()
        document[section][name]["bindings"][place]["binding_key"] = "#"
        topology = topology_of(document)
        twice = [
            task.name
            for task in base.tasks()
            if not task.multicast and len(_works(_reached(document, task.name), topology)) > 1
        ]
        if twice:
            yield f"`{twice[0]}`", document


def _crossing_pattern(base: Sound) -> Iterator[Slip]:
    """Another work queue is bound with a pattern that crosses one there is: `a.#` and `*.zz`."""
    sent_to = {task.exchange.name for task in base.topology.tasks.values()}
    for section, name, _, binding in base.bindings("topic"):
        first, *rest = binding["binding_key"].split(".")
        exchange = binding["exchange"]
        if section != "queues" or base.topology.queues[name].tap or exchange not in sent_to:
            continue
        if first in ("*", "#") or not {"*", "#"} & set(rest):
            continue
        crossing = ".".join(["*", *("zz" if it in ("*", "#") else it for it in rest)])
        if not any(
            topic_matches(crossing, task.routing_key)
            for task in base.tasks()
            if task.exchange.name == exchange
        ):
            new = {"exchange": exchange, "binding_key": crossing}
            yield "`extra`", _with_queue(base, {"bindings": [new]})


def _narrower_beside(base: Sound) -> Iterator[Slip]:
    """A destination gets a second binding, narrower than the one it has."""
    for section, name, _, binding in base.bindings("topic"):
        words = binding["binding_key"].split(".")
        narrower = ".".join("zz" if it == "*" else "zz.yy" if it == "#" else it for it in words)
        if narrower != binding["binding_key"]:
            document = base.changed()
            more = {**binding, "binding_key": narrower}
            document[section][name]["bindings"].append(more)
            yield f"`{narrower}`", document


def _covered_by_several(base: Sound) -> Iterator[Slip]:
    """`a.#` is parted by length, and beside the parts stands what only all of them cover."""
    for section, name, place, binding in base.bindings("topic"):
        stem, dot, last = binding["binding_key"].rpartition(".")
        if last != "#":
            continue
        document = base.changed()
        parts = [stem, f"{stem}{dot}*", f"{stem}{dot}*.*.#", f"{stem}{dot}#.zz"]
        bindings = document[section][name]["bindings"]
        bindings[place : place + 1] = [{**binding, "binding_key": key} for key in parts]
        yield f"`{parts[-1]}`", document


def _queue_without_binding(base: Sound) -> Iterator[Slip]:
    if base.topology.tasks:
        yield "`extra`", _with_queue(base, {})
        document = _with_queue(base, {"bindings": [{"exchange": "inside"}]})
        document["exchanges"]["inside"] = {"type": "fanout", "internal": True}
        yield "`extra`", document


def _exchange_without_use(base: Sound) -> Iterator[Slip]:
    for kind in ("topic", "direct", "fanout", "headers") if base.topology.tasks else ():
        document = base.changed()
        document["exchanges"]["idle"] = {"type": kind}
        yield "`idle`", document


# Dead letters


def _dead_letters_to_nothing(base: Sound) -> Iterator[Slip]:
    """A queue gets a dead-letter exchange that nothing is bound to with such a key."""
    for name in _bound(base):
        for keys in ((), ("never.zz",)):
            document = base.changed()
            _mortal(document, name, {"exchange": "graveyard"})
            document["exchanges"]["graveyard"] = {"type": "topic"}
            bindings = [{"exchange": "graveyard", "binding_key": key} for key in keys]
            document["queues"]["graves"] = {"bindings": bindings, "tap": True}
            if not keys:
                del document["queues"]["graves"]
            yield f"`{name}`", document


def _dead_letter_key_misspelt(base: Sound) -> Iterator[Slip]:
    for name, queue in base.document["queues"].items():
        dead = queue.get("dead_letter", {})
        if "routing_key" in dead and dead["exchange"]:
            document = base.changed()
            document["queues"][name]["dead_letter"]["routing_key"] = "zz.never"
            slow = BruteForce(topology_of(document))
            if not slow.queues(dead["exchange"], "zz.never", {}):
                yield f"`{name}`", document


def _retried_for_ever(base: Sound) -> Iterator[Slip]:
    """The dead letters of a work queue wait elsewhere, and then come back."""
    for name, queue in base.consumed():
        if queue.get("type") == "stream":
            continue
        document = base.changed()
        _mortal(document, name, {"exchange": "again"})
        document["exchanges"]["again"] = {"type": "fanout"}
        document["queues"]["wait"] = {
            "bindings": [{"exchange": "again"}],
            "message_ttl": "30s",
            "dead_letter": {"exchange": "", "routing_key": name},
            "tap": True,
        }
        yield f"`{name}`", document


def _its_own_dead_letters(base: Sound) -> Iterator[Slip]:
    for name, queue in base.consumed():
        if queue.get("type") != "stream":
            document = base.changed()
            _mortal(document, name, {"exchange": "", "routing_key": name})
            yield f"`{name}`", document


def _waiting_in_turns(base: Sound) -> Iterator[Slip]:
    """The dead letters of a queue go to and fro between two that nobody consumes."""
    for name in _bound(base) if base.document["workers"] else ():
        document = base.changed()
        _mortal(document, name, {"exchange": "", "routing_key": "wait1"})
        for one, other in (("wait1", "wait2"), ("wait2", "wait1")):
            document["queues"][one] = {
                "message_ttl": "30s",
                "dead_letter": {"exchange": "", "routing_key": other},
                "tap": True,
            }
        yield "`wait1`", document


def _bound(base: Sound) -> Iterator[str]:
    """The queues that something is bound to and that may have dead letters, but have none."""
    for name, queue in base.document["queues"].items():
        if queue["bindings"] and queue.get("type") != "stream" and "dead_letter" not in queue:
            yield name


def _mortal(document: Document, name: str, dead_letter: Document) -> None:
    queue = document["queues"][name]
    queue["dead_letter"] = dead_letter


# Names, options and values


def _queue_not_consumed(base: Sound) -> Iterator[Slip]:
    working = {name for task in base.tasks() for name in _reached(base.document, task.name)}
    for name, queue in base.consumed():
        document = base.changed()
        groups = document["workers"]
        for group in groups.values():
            group["queues"] = [it for it in group["queues"] if it != name]
        document["workers"] = {key: it for key, it in groups.items() if it["queues"]}
        if name in working and document["workers"] and not queue.get("tap"):
            yield f"`{name}`", document


def _unknown_queue(base: Sound) -> Iterator[Slip]:
    for group in base.document["workers"]:
        document = base.changed()
        document["workers"][group]["queues"][0] += "x"
        yield f"`{document['workers'][group]['queues'][0]}`", document


def _unknown_exchange(base: Sound) -> Iterator[Slip]:
    for section, name, place, binding in base.bindings("topic", "direct", "fanout", "headers"):
        document = base.changed()
        document[section][name]["bindings"][place]["exchange"] += "x"
        yield f"`{binding['exchange']}x`", document
    for name in _bound(base):
        document = base.changed()
        document["queues"][name]["dead_letter"] = {"exchange": "nowhere"}
        yield "`nowhere`", document
        break
    for name in base.topology.tasks:
        document = base.changed()
        document["tasks"][name]["exchange"] = "nowhere"
        yield "`nowhere`", document
        break


def _each(section: str, option: str, value: Any, about: str) -> Callable[[Sound], Iterator[Slip]]:
    """The same option everywhere in a section; `NAME` in `about` is where."""

    def planting(base: Sound) -> Iterator[Slip]:
        for name in base.document[section]:
            document = base.changed()
            document[section][name][option] = value
            yield about.replace("NAME", name), document

    planting.__name__ = f"{section}_{option}"
    return planting


def _argument(name: str, value: Any, *types: str) -> Callable[[Sound], Iterator[Slip]]:
    """The same argument at every queue of some types."""

    def planting(base: Sound) -> Iterator[Slip]:
        for queue, its in base.document["queues"].items():
            if its.get("type", "classic") in types and name[2:].replace("-", "_") not in its:
                document = base.changed()
                arguments = document["queues"][queue].setdefault("arguments", {})
                arguments[name] = value
                yield f"`{name}`", document

    planting.__name__ = f"argument_{name}"
    return planting


def _pattern_for_a_key(base: Sound) -> Iterator[Slip]:
    for task in base.tasks():
        document = base.changed()
        key = f"{task.routing_key.split('.')[0]}.#"
        document["tasks"][task.name]["routing_key"] = key
        yield f"`{key}`", document


def _in_bindings(
    option: str, value: Callable[[Any], Any], about: str, *types: str
) -> Callable[[Sound], Iterator[Slip]]:
    """An option of every binding of exchanges of some types changes."""

    def planting(base: Sound) -> Iterator[Slip]:
        for section, name, place, binding in base.bindings(*types):
            document = base.changed()
            new = value(binding.get(option))
            document[section][name]["bindings"][place][option] = new
            yield about.replace("NEW", str(new)).replace("SOURCE", binding["exchange"]), document

    planting.__name__ = f"binding_{option}"
    return planting


def _key_left_out(base: Sound) -> Iterator[Slip]:
    for section, name, place, _ in base.bindings("topic", "direct"):
        document = base.changed()
        document[section][name]["bindings"][place].pop("binding_key")
        yield f"`{name}`", document


def _binding_repeated(base: Sound) -> Iterator[Slip]:
    for section, name, place, binding in base.bindings("topic", "direct", "fanout"):
        document = base.changed()
        document[section][name]["bindings"].insert(place, dict(binding))
        yield f"`{name}`", document


def _task_to_the_inside(base: Sound) -> Iterator[Slip]:
    for name in {task.exchange.name for task in base.tasks()} & base.document["exchanges"].keys():
        document = base.changed()
        document["exchanges"][name]["internal"] = True
        yield f"`{name}`", document


def _stream_for_work(base: Sound) -> Iterator[Slip]:
    for name, _ in base.consumed():
        document = base.changed()
        document["queues"][name] = {
            "type": "stream",
            "bindings": document["queues"][name]["bindings"],
        }
        yield f"`{name}`", document


def _plugins_exchange(base: Sound) -> Iterator[Slip]:
    for task in base.tasks():
        if task.exchange.name in base.document["exchanges"]:
            document = base.changed()
            document["exchanges"][task.exchange.name]["type"] = "x-consistent-hash"
            yield f"`{task.name}`", document


def _reached(document: Document, task: str) -> set[str]:
    topology = topology_of(document)
    it = topology.tasks[task]
    return BruteForce(topology).queues(it.exchange.name, it.routing_key, dict(it.headers))


def _works(queues: set[str], topology: Topology) -> set[str]:
    return {name for name in queues if not topology.queues[name].tap}


def _with_queue(base: Sound, queue: Document) -> Document:
    """The document with another queue, `extra`, that is consumed if any is."""
    document = base.changed()
    document["queues"]["extra"] = queue
    if document["workers"]:
        document["workers"]["extra"] = {"queues": ["extra"]}
    return document


Planting: TypeAlias = Callable[[Sound], Iterator[Slip]]

PLANTINGS: tuple[tuple[str, Planting], ...] = (
    ("unroutable-task", _key_misspelt),
    ("unroutable-task", _binding_lost),
    ("task-only-by-alternate-exchange", _key_misspelt_and_caught),
    ("task-delivered-more-than-once", _second_queue),
    ("task-delivered-more-than-once", _binding_widened),
    ("overlapping-work-queues", _crossing_pattern),
    ("shadowed-binding", _narrower_beside),
    ("shadowed-binding", _covered_by_several),
    ("unreachable-queue", _queue_without_binding),
    ("unused-exchange", _exchange_without_use),
    ("dead-letter-goes-nowhere", _dead_letters_to_nothing),
    ("dead-letter-goes-nowhere", _dead_letter_key_misspelt),
    ("endless-dead-letter-loop", _retried_for_ever),
    ("endless-dead-letter-loop", _its_own_dead_letters),
    ("dead-letter-loop-drops", _waiting_in_turns),
    ("queue-without-worker", _queue_not_consumed),
    ("undecided-route", _plugins_exchange),
    ("publish-to-internal-exchange", _task_to_the_inside),
    ("stream-as-work-queue", _stream_for_work),
    ("unknown-queue", _unknown_queue),
    ("unknown-exchange", _unknown_exchange),
    ("unknown-exchange-type", _each("exchanges", "type", "topics", "`topics`")),
    ("unknown-key", _each("queues", "mesage_ttl", "5s", "`mesage_ttl`")),
    ("unknown-key", _each("tasks", "routingkey", "a.b", "`routingkey`")),
    ("out-of-range", _each("tasks", "priority", 11, "")),
    ("duration-without-unit", _each("queues", "message_ttl", 60, "")),
    ("unknown-argument", _argument("x-message-tll", 5, "classic", "quorum")),
    ("wrong-argument-type", _argument("x-max-length", "5", "classic", "quorum")),
    ("wrong-argument-value", _argument("x-overflow", "drop-tail", "classic", "quorum")),
    ("unsupported-by-queue-type", _argument("x-delivery-limit", 5, "classic")),
    ("unsupported-by-queue-type", _argument("x-max-priority", 5, "quorum", "stream")),
    ("wildcard-in-routing-key", _pattern_for_a_key),
    (
        "wildcard-inside-word",
        _in_bindings("binding_key", lambda key: f"{key}.zz*", "`zz*`", "topic"),
    ),
    ("literal-wildcard", _in_bindings("binding_key", lambda key: f"{key}.#", "`NEW`", "direct")),
    (
        "ignored-binding-key",
        _in_bindings("binding_key", lambda _: "zz", "`zz`", "fanout", "headers"),
    ),
    (
        "ignored-binding-arguments",
        _in_bindings("arguments", lambda _: {"zz": 1}, "`SOURCE`", "topic", "direct", "fanout"),
    ),
    (
        "malformed-x-match",
        _in_bindings("arguments", lambda it: {**it, "x-match": "some"}, "`some`", "headers"),
    ),
    ("missing-binding-key", _key_left_out),
    ("duplicate-binding", _binding_repeated),
)
