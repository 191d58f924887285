"""Random topologies that are sound by how they are made.

Every queue has a first word of its own, so that no key is of two work queues; every binding has a
task; every dead letter has a queue that takes all. Each depends on the seed and its number alone.
"""

from __future__ import annotations

from random import Random

from planted.sound import Document, Sound, text_of

_TARGETS = ("rabbitmq-3.x", "rabbitmq-3.10", "rabbitmq-3.12", "rabbitmq-4.x", "redis", "memory")
_WORDS = ("eu", "us", "paid", "made", "late")
_PATTERNS = ("S.#", "S.*", "S.*.done", "S.#.done", "S.a.*", "S.a.#.b", "S.*.*.#", "S.plain")
_VIRTUAL_PATTERNS = ("S.*", "S.*.done", "S.a.*", "S.*.*", "S.plain")


def random_sound(seed: int, number: int) -> Sound:
    randomly = Random(f"{seed}/{number}")
    target = randomly.choice(_TARGETS)
    virtual = target in ("redis", "memory")
    document: Document = {
        "topology": f"random{number}",
        "target": target,
        "defaults": {"exchange": "tasks"},
        "exchanges": {"tasks": {"type": "topic"}},
        "queues": {},
        "tasks": {},
        "workers": {},
        "assertions": [],
    }
    for place in range(randomly.randint(2, 5)):
        _work_queue(document, f"s{place}", virtual, randomly)
    _calls(document, randomly)
    _news(document)
    if not virtual:
        _rabbit(document, randomly)
    _groups(document, randomly)
    return Sound(f"random{number}", text_of(document))


def _work_queue(document: Document, stem: str, virtual: bool, randomly: Random) -> None:
    """A queue with one or two patterns, and the tasks that come by each."""
    pattern = randomly.choice(_VIRTUAL_PATTERNS if virtual else _PATTERNS).replace("S", stem)
    queue: Document = {"exchange": "tasks", "binding_key": pattern}
    if randomly.random() < 0.3:
        more = {"exchange": "tasks", "binding_key": f"{stem}x.*"}
        queue = {"bindings": [queue, more]}
        document["tasks"][f"{stem}.More"] = {"routing_key": f"{stem}x.{randomly.choice(_WORDS)}"}
    document["queues"][stem] = queue
    for name in ("Make", "Mend")[: randomly.randint(1, 2)]:
        document["tasks"][f"{stem}.{name}"] = {"routing_key": _key(pattern, randomly)}
    if randomly.random() < 0.5:
        document["tasks"][f"{stem}.Any"] = _any(pattern, randomly)
    if randomly.random() < 0.4:
        names = {"routing_key": f"{stem}.{{task}}" if pattern == f"{stem}.#" else _key(pattern)}
        document["tasks"][f"{stem}.all.#"] = names
        document["tasks"][f"{stem}.all.some.*"] = dict(names)
    if randomly.random() < 0.3:
        document["tasks"][f"{stem}.Blob"] = {
            "routing_key": _key(pattern, randomly),
            "serializer": "pickle",
        }


def _key(pattern: str, randomly: Random | None = None) -> str:
    """A key that a pattern matches."""
    word = randomly.choice(_WORDS) if randomly else "one"
    return ".".join(word if it in ("*", "#") else it for it in pattern.split("."))


def _any(pattern: str, randomly: Random) -> Document:
    """A task whose key has a placeholder wherever the pattern takes any word."""
    key = ".".join("{some}" if it in ("*", "#") else it for it in pattern.split("."))
    task: Document = {"routing_key": key}
    if "{some}" in key and randomly.random() < 0.5:
        task["parameters"] = {"some": randomly.sample(_WORDS, 2)}
    return task


def _calls(document: Document, randomly: Random) -> None:
    """A direct exchange, which a task may come to with a listed word."""
    document["exchanges"]["calls"] = {"type": "direct"}
    document["queues"]["calls"] = {
        "bindings": [{"exchange": "calls", "binding_key": key} for key in ("first", "last")]
    }
    document["tasks"]["calls.Take"] = {
        "exchange": "calls",
        "routing_key": "{which}",
        "parameters": {"which": ["first", "last"]},
    }
    if randomly.random() < 0.5:
        document["tasks"]["calls.First"] = {"exchange": "calls", "routing_key": "first"}


def _news(document: Document) -> None:
    """A fanout exchange, whose task is meant to run in each of two queues."""
    document["exchanges"]["news"] = {"type": "fanout"}
    document["queues"] |= {"news1": {"exchange": "news"}, "news2": {"exchange": "news"}}
    document["tasks"]["news.Tell"] = {"exchange": "news", "multicast": True}


def _rabbit(document: Document, randomly: Random) -> None:
    """What only RabbitMQ has."""
    stems = [name for name in document["queues"] if name.startswith("s")]
    steps = (_audit, _alternate, _headers, _dead, _carved, _asserted, _kinds, _region)
    for step in steps:
        if randomly.random() < 0.5:
            step(document, randomly.choice(stems))


def _audit(document: Document, _stem: str) -> None:
    document["queues"]["audit"] = {"exchange": "tasks", "binding_key": "#", "tap": True}


def _alternate(document: Document, _stem: str) -> None:
    # An exchange that leads every key to `audit` has no use for an alternate one.
    exchange = "calls" if "audit" in document["queues"] else "tasks"
    document["exchanges"][exchange]["alternate_exchange"] = "unrouted"
    document["exchanges"]["unrouted"] = {"type": "fanout", "internal": True}
    document["queues"]["unrouted"] = {"exchange": "unrouted", "tap": True}


def _headers(document: Document, _stem: str) -> None:
    document["exchanges"]["mail"] = {"type": "headers"}
    arguments = {"x-match": "all", "class": "first"}
    document["queues"]["mail"] = {"bindings": [{"exchange": "mail", "arguments": arguments}]}
    document["tasks"]["mail.Send"] = {"exchange": "mail", "headers": {"class": "first"}}


def _dead(document: Document, stem: str) -> None:
    """Dead letters that wait for a while, and are kept then."""
    document["exchanges"] |= {"pause": {"type": "fanout"}, "kept": {"type": "topic"}}
    document["queues"][stem]["dead_letter"] = {"exchange": "pause"}
    document["queues"]["pause"] = {
        "exchange": "pause",
        "message_ttl": "1m",
        "dead_letter": {"exchange": "kept", "routing_key": f"kept.{stem}"},
    }
    document["queues"]["kept"] = {"exchange": "kept", "binding_key": "kept.#"}


def _carved(document: Document, stem: str) -> None:
    queue = document["queues"][stem]
    if queue.get("binding_key") == f"{stem}.#":
        document["queues"]["hot"] = {"carve_out_of": stem, "binding_key": f"{stem}.hot"}
        document["tasks"]["hot.Run"] = {"routing_key": f"{stem}.hot"}


def _asserted(document: Document, stem: str) -> None:
    others = [name for name in document["queues"] if name.startswith("s") and name != stem]
    own = document["queues"][stem]
    key = own.get("binding_key") or own["bindings"][0]["binding_key"]
    document["assertions"] += [
        {"keys": key, "never": others},
        {"never_both": [stem, *others]},
        {"keys": key, "routable": True},
        {"exchange": "calls", "keys": ["first", "last"], "reach": ["calls"]},
    ]


def _kinds(document: Document, stem: str) -> None:
    """A quorum queue, and a classic one that heeds the priority of a task."""
    document["queues"][stem] |= {"type": "quorum", "delivery_limit": 5, "max_length": 1000}
    document["queues"]["calls"]["max_priority"] = 9
    document["tasks"]["calls.Take"]["priority"] = 2


def _region(document: Document, _stem: str) -> None:
    """An exchange behind another one."""
    document["exchanges"]["region"] = {
        "type": "topic",
        "bindings": [{"exchange": "tasks", "binding_key": "region.#"}],
    }
    for name in ("eu", "us"):
        document["queues"][name] = {"exchange": "region", "binding_key": f"region.{name}.*"}
        document["tasks"][f"region.{name}"] = {"routing_key": f"region.{name}.now"}


def _groups(document: Document, randomly: Random) -> None:
    """All that has work in one to three groups, which read what they are sent."""
    kept = ("audit", "unrouted", "pause", "kept")
    queues = [name for name in document["queues"] if name not in kept]
    randomly.shuffle(queues)
    count = randomly.randint(1, 3)
    for place in range(count):
        group: Document = {"queues": queues[place::count], "concurrency": place + 1}
        group["accept"] = ["json", "pickle"]
        document["workers"][f"group{place}"] = group
