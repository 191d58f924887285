"""Which policy counts, and what it changes: the compiler says what the broker does."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

import amqp
import pytest
from private_nodes import Broker, ManagementFailed, until

from routewright.compiler import compile_text
from routewright.compiler.model.policies import winners
from routewright.compiler.model.topology import Exchange, Policy, Queue
from routewright.compiler.rabbitmq.policy_keys import OF_OTHERS, TAKEN_BY, effective_arguments
from routewright.compiler.rabbitmq.queue_arguments import QUEUE_TYPES

pytestmark = pytest.mark.broker

VALUES: dict[str, Any] = {
    "alternate-exchange": "amq.fanout",
    "message-ttl": 60_000,
    "expires": 600_000,
    "max-length": 5,
    "max-length-bytes": 5000,
    "overflow": "reject-publish",
    "dead-letter-exchange": "amq.fanout",
    "dead-letter-routing-key": "lost",
    "dead-letter-strategy": "at-least-once",
    "delivery-limit": 3,
    "max-in-memory-length": 3,
    "max-in-memory-bytes": 3000,
    "queue-mode": "lazy",
    "queue-version": 2,
    "queue-master-locator": "min-masters",
    "queue-leader-locator": "balanced",
    "initial-cluster-size": 1,
    "max-age": "1h",
    "stream-max-segment-size-bytes": 100_000,
    "ha-mode": "all",
    "ha-params": 1,
    "ha-sync-mode": "manual",
    "ha-sync-batch-size": 10,
    "ha-promote-on-shutdown": "always",
    "ha-promote-on-failure": "always",
}
WITH_HA_MODE = {key: {"ha-mode": "all"} for key in VALUES if key.startswith("ha-")} | {
    "ha-params": {"ha-mode": "exactly"}
}


@contextmanager
def channel_to(broker: Broker) -> Iterator[Any]:
    with amqp.Connection(
        f"127.0.0.1:{broker.node.port}", "guest", "guest", virtual_host=broker.vhost
    ) as connection:
        yield connection.channel()


def put(broker: Broker, policy: Policy) -> None:
    path = f"/policies/{quote(broker.vhost, safe='')}/{quote(policy.name, safe='')}"
    body = {
        "pattern": policy.pattern,
        "definition": policy.definition,
        "priority": policy.priority,
        "apply-to": policy.apply_to,
    }
    broker.node.api("PUT", path, body)


def applied(broker: Broker, kind: str) -> dict[str, str]:
    """The policy that counts for each queue or exchange, by the broker's word."""
    command = (f"list_{kind}", "-p", broker.vhost, "name", "policy", "--quiet", "--formatter")
    rows = json.loads(broker.node.ctl(*command, "json"))
    return {row["name"]: row["policy"] for row in rows}


def test_a_queue_takes_a_policy_whole_or_not_at_all(broker: Broker) -> None:
    """Every key with every type of queue; what no policy can have is refused."""
    assert VALUES.keys() == TAKEN_BY.keys()
    with channel_to(broker) as channel:
        for key, queue_type in itertools.product(VALUES, QUEUE_TYPES):
            channel.queue_declare(
                f"{key}.{queue_type}",
                durable=True,
                auto_delete=False,
                arguments={"x-queue-type": queue_type},
            )
    for key, value in VALUES.items():
        definition = {**WITH_HA_MODE.get(key, {}), key: value}
        put(broker, Policy(key, rf"^{key}\.", definition, apply_to="queues"))
    found = applied(broker, "queues")
    for key, queue_type in itertools.product(VALUES, QUEUE_TYPES):
        taken = found[f"{key}.{queue_type}"] == key
        assert taken == (queue_type in TAKEN_BY[key]), (key, queue_type)
    for key in ("max-priority", "single-active-consumer", "queue-type", "nonsense"):
        assert key not in TAKEN_BY.keys() | OF_OTHERS
        with pytest.raises(ManagementFailed, match="not recognised"):
            put(broker, Policy(key, "", {key: 1}))


class Probe:
    """Declares queues with a policy each, and looks at what they do."""

    def __init__(self, broker: Broker, channel: Any) -> None:
        self._broker, self._channel = broker, channel
        self._names = (f"probe.{number}" for number in itertools.count())
        for exchange in ("own", "by-policy"):
            channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
            channel.queue_declare(exchange, durable=True, auto_delete=False)
            channel.queue_bind(exchange, exchange, "#")

    def queue(self, own: dict[str, Any], definition: dict[str, Any]) -> str:
        """A queue under its policy, which counts from its first moment."""
        name = next(self._names)
        put(self._broker, Policy(name, f"^{name}$", definition, apply_to="queues"))
        self._channel.queue_declare(name, durable=True, auto_delete=False, arguments=own)
        return name

    def send(self, queue: str, *bodies: str, expiration: str | None = None) -> None:
        self._channel.confirm_select()
        for body in bodies:
            message = amqp.Message(body)
            if expiration is not None:
                message.properties["expiration"] = expiration
            with suppress(amqp.exceptions.MessageNacked):  # a full queue refuses
                self._channel.basic_publish_confirm(message, "", queue)

    def first(self, queue: str) -> str:
        message = until(lambda: self._channel.basic_get(queue))
        return str(message.body)

    def depth(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True)[1])

    def is_gone(self, queue: str) -> bool:
        vhost = quote(self._broker.vhost, safe="")
        try:  # not over AMQP, where a look is a use
            self._broker.node.api("GET", f"/queues/{vhost}/{queue}")
        except ManagementFailed as error:
            return error.status == 404
        return False

    def dead_letter(self) -> tuple[str, str]:
        """The exchange and the key by which the next dead letter comes."""

        def look() -> tuple[str, str] | None:
            for exchange in ("own", "by-policy"):
                message = self._channel.basic_get(exchange, no_ack=True)
                if message:
                    return exchange, message.delivery_info["routing_key"]
            return None

        return until(look)

    def deliveries(self, queue: str) -> int:
        """How often a message is delivered that everybody gives back."""
        self.send(queue, "message")
        count = 0
        while True:
            message = self._channel.basic_get(queue)
            if message:
                count += 1
                self._channel.basic_reject(message.delivery_tag, requeue=True)
            elif count and self.depth(queue) == 0:
                return count


@pytest.fixture
def probe(broker: Broker) -> Iterator[Probe]:
    with channel_to(broker) as channel:
        yield Probe(broker, channel)


DEAD_LETTERS = [
    ({"x-dead-letter-exchange": "own"}, {"dead-letter-exchange": "by-policy"}),
    ({"x-dead-letter-exchange": "own"}, {"dead-letter-routing-key": "policy-key"}),
    (
        {"x-dead-letter-exchange": "own", "x-dead-letter-routing-key": "own-key"},
        {"dead-letter-exchange": "by-policy", "dead-letter-routing-key": "policy-key"},
    ),
    ({}, {"dead-letter-exchange": "by-policy"}),
    (
        {"x-dead-letter-exchange": "own"},
        {"dead-letter-exchange": "by-policy", "dead-letter-routing-key": "policy-key"},
    ),
]


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
def test_dead_letters_go_where_the_effective_arguments_say(probe: Probe, queue_type: str) -> None:
    for arguments, definition in DEAD_LETTERS:
        own = {"x-queue-type": queue_type, **arguments}
        name = probe.queue(own, definition)
        probe.send(name, "message", expiration="1")
        counts = effective_arguments(own, definition, queue_type)
        key = counts.get("x-dead-letter-routing-key", name)
        assert probe.dead_letter() == (counts["x-dead-letter-exchange"], key)


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
@pytest.mark.parametrize(("own", "by_policy"), [(5, 3), (3, 5)])
def test_of_two_limits_the_smaller_counts(
    probe: Probe, queue_type: str, own: int, by_policy: int
) -> None:
    for key in ("max-length", "max-length-bytes"):
        arguments = {"x-queue-type": queue_type, f"x-{key}": own}
        name = probe.queue(arguments, {key: by_policy})
        probe.send(name, *"abcdefgh")
        counted = effective_arguments(arguments, {key: by_policy}, queue_type)[f"x-{key}"]
        until(lambda name=name, counted=counted: probe.depth(name) == counted)  # type: ignore[misc]
    long, short = (100_000, 50) if own > by_policy else (50, 100_000)
    arguments = {"x-queue-type": queue_type, "x-message-ttl": long}
    name = probe.queue(arguments, {"message-ttl": short})
    assert effective_arguments(arguments, {"message-ttl": short}, queue_type)["x-message-ttl"] == 50
    probe.send(name, "message")
    until(lambda: probe.depth(name) == 0)
    if queue_type == "quorum":
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": own}
        definition = {"delivery-limit": by_policy}
        counted = effective_arguments(arguments, definition, "quorum")["x-delivery-limit"]
        assert probe.deliveries(probe.queue(arguments, definition)) == counted + 1


@pytest.mark.parametrize("queue_type", ["classic", "quorum"])
@pytest.mark.parametrize(
    ("own", "by_policy"), [("reject-publish", "drop-head"), ("drop-head", "reject-publish")]
)
def test_whose_overflow_counts_depends_on_the_type(
    probe: Probe, queue_type: str, own: str, by_policy: str
) -> None:
    arguments = {"x-queue-type": queue_type, "x-max-length": 1, "x-overflow": own}
    name = probe.queue(arguments, {"overflow": by_policy})
    probe.send(name, "first", "second", "third", "fourth")
    counted = effective_arguments(arguments, {"overflow": by_policy}, queue_type)["x-overflow"]
    assert (probe.first(name) == "first") == (counted == "reject-publish")


def test_whose_expiry_counts_depends_on_the_type(probe: Probe) -> None:
    """A quorum queue that says 1 s and whose policy says 1000 s outlives a classic one."""
    names, counted = {}, {}
    for queue_type, own in itertools.product(("classic", "quorum"), (1000, 1_000_000)):
        arguments = {"x-queue-type": queue_type, "x-expires": own}
        definition = {"expires": 1_001_000 - own}
        names[queue_type, own] = probe.queue(arguments, definition)
        counted[queue_type, own] = effective_arguments(arguments, definition, queue_type)[
            "x-expires"
        ]
    expired = [name for at, name in names.items() if counted[at] == 1000]
    until(lambda: all(map(probe.is_gone, expired)))
    assert not probe.is_gone(names["quorum", 1000])
    assert counted["quorum", 1000] == 1_000_000


def test_an_alternate_exchange_comes_by_policy_to_the_broker_s_own_too(broker: Broker) -> None:
    text = """
topology: shop
exchanges:
  own: {type: topic, alternate_exchange: amq.fanout}
  bare: {type: topic}
queues: {caught: {bindings: [{exchange: amq.match}]}, other: {exchange: amq.fanout}}
policies: {p: {pattern: "o|b|topic", apply_to: exchanges, definition: {alternate_exchange: rest}}}
""".replace("rest", "amq.match").replace("amq.match}]", "amq.match, arguments: {x-match: all}}]")
    compilation = compile_text(text)
    definitions = json.loads(compilation.files["definitions.json"])
    for section in definitions.values():
        for item in section if isinstance(section, list) else ():
            item["vhost"] = broker.vhost
    broker.node.api("POST", f"/definitions/{quote(broker.vhost, safe='')}", definitions)
    with channel_to(broker) as channel:
        channel.confirm_select()
        for exchange in ("own", "bare", "amq.topic", "amq.direct"):
            channel.basic_publish_confirm(amqp.Message("message"), exchange, "nothing")
            reached = [q for q in ("caught", "other") if channel.basic_get(q, no_ack=True)]
            assert tuple(reached) == compilation.route(exchange, "nothing").queues, exchange


ORDINARY = sorted(key for key in VALUES if not key.startswith("ha-"))
PATTERNS = ["", "^a", "b$", r"\.", "a.b", "(?i)A", "^[^.]+$", r"\w\.\w", "^(a|b)", "é", "^..$", "z"]
NAMES = ["a", "b", "ab", "a.b", "b.a", "A.b", "aXb", "é", "aé.b", "a-b", "a b"]


def test_the_policy_that_counts_is_the_broker_s(broker: Broker) -> None:
    """Random policies over queues of all types and exchanges, none of them contending."""
    randomly = random.Random(7)
    queues = [
        Queue(
            f"{name}.{kind}" if randomly.random() < 0.5 else f"{kind[0]}{name}",
            arguments={"x-queue-type": kind},
        )
        for name, kind in itertools.product(NAMES, QUEUE_TYPES)
    ]
    exchanges = [Exchange(name, "topic") for name in NAMES]
    policies = [
        Policy(
            f"p{number}",
            randomly.choice(PATTERNS),
            {key: VALUES[key] for key in randomly.sample(ORDINARY, k=2)},
            priority,
            randomly.choice(["queues", "exchanges", "all"]),
        )
        for number, priority in enumerate(randomly.sample(range(-50, 50), k=30))
    ]
    definitions = {
        "queues": [
            {"name": it.name, "durable": True, "auto_delete": False, "arguments": it.arguments}
            for it in queues
        ],
        "exchanges": [
            {
                "name": it.name,
                "type": "topic",
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for it in exchanges
        ],
    }
    broker.node.api("POST", f"/definitions/{quote(broker.vhost, safe='')}", definitions)
    for policy in policies:
        put(broker, policy)
    for kind, items in (("queues", queues), ("exchanges", exchanges)):
        found = applied(broker, kind)
        expected = {it.name: [policy.name for policy in winners(policies, it)] for it in items}
        assert {it.name: [found[it.name]] if found[it.name] else [] for it in items} == expected
    assert len({policy for named in applied(broker, "queues").values() for policy in [named]}) > 5
