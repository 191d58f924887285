"""What becomes of dead letters is decided by the broker; the compiler says the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import amqp
import pytest
from click.testing import CliRunner
from private_nodes import Broker, until

from routewright.compiler import compile_text
from routewright.compiler.cli import main
from routewright.compiler.executor.over_amqp import apply_topology

pytestmark = pytest.mark.broker


class VirtualHost:
    """A topology on the broker: published to, fetched from, rejected."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def publish(self, exchange: str, key: str, body: str = "message", **headers: str) -> None:
        message = amqp.Message(body, application_headers=headers)
        self._channel.basic_publish(message, exchange, key)

    def fetched(self, queue: str, *, keep: bool = False) -> Any:
        """The next message of a queue, waited for."""
        return until(lambda: self._channel.basic_get(queue, no_ack=not keep))

    def give_back(self, message: Any, *, requeue: bool = False) -> None:
        self._channel.basic_reject(message.delivery_tag, requeue)

    def waiting(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True)[1])


@contextmanager
def live(broker: Broker, text: str) -> Iterator[VirtualHost]:
    topology = compile_text(text).topology
    assert topology is not None
    apply_topology(topology, broker.url)
    with amqp.Connection(
        f"127.0.0.1:{broker.node.port}", "guest", "guest", virtual_host=broker.vhost
    ) as connection:
        yield VirtualHost(connection.channel())


def deaths(message: Any) -> list[tuple[str, str, int]]:
    """The queues that a message died in, the latest first: name, reason and how often."""
    header = (message.headers or {}).get("x-death", [])
    return [(it["queue"], it["reason"], it["count"]) for it in header]


def comes_back(there: VirtualHost, queue: str, *, times: int) -> None:
    """Rejects a message, which comes back to the queue each time and counts its deaths there."""
    for rounds in range(times):
        message = there.fetched(queue, keep=True)
        assert deaths(message) == ([(queue, "rejected", rounds)] if rounds else [])
        there.give_back(message)


def said(text: str) -> dict[str, str | None]:
    """What the compiler has to say of dead letters, with the key it shows."""
    found = compile_text(text).diagnostics
    return {it.code: it.witness for it in found if "dead-letter" in it.code}


def explained(text: str, exchange: str, key: str) -> dict[str, Any]:
    Path("topology.yaml").write_text(text)
    command = ["explain", key, "--exchange", exchange, "--format", "json"]
    result = CliRunner().invoke(main, command, catch_exceptions=False)
    explanation: dict[str, Any] = json.loads(result.output)
    return explanation


def explained_round(text: str, exchange: str, key: str, queues: tuple[str, str]) -> Any:
    """The queues of a message that two queues give up on, which is explained as a cycle."""
    first, second = queues
    back = explained(text, exchange, key)["dead_letters"][first]["dead_letters"][second]
    assert back["dead_letters"][first]["outcome"] == "cycle"
    return back["queues"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# What dies in the two queues is seen by `seen` as well, which is in no round.
EXPIRING = """
topology: t
exchanges:
  first: {type: fanout}
  second: {type: fanout}
  deaths: {type: fanout, bindings: [{exchange: second}, {exchange: again}]}
  again: {type: fanout}
queues:
  short: {bindings: [{exchange: first}, {exchange: again}], message_ttl: 50ms,
          dead_letter: {exchange: second}, tap: true}
  long: {exchange: second, message_ttl: 100ms, dead_letter: {exchange: again}, tap: true}
  seen: {exchange: deaths}
workers:
  watch: {queues: [seen]}
"""


def test_a_round_of_expiries_drops_the_message_when_it_comes_back(broker: Broker) -> None:
    assert said(EXPIRING) == {"dead-letter-loop-drops": ""}
    assert explained_round(EXPIRING, "first", "", ("short", "long")) == ["seen", "short"]

    with live(broker, EXPIRING) as there:
        there.publish("first", "", "dropped")
        assert deaths(there.fetched("seen")) == [("short", "expired", 1)]
        assert deaths(there.fetched("seen")) == [("long", "expired", 1), ("short", "expired", 1)]
        # Were it in `short` again, it would die there before what is published after it.
        there.publish("first", "", "probe")
        assert there.fetched("seen").body == "probe"
        assert there.fetched("seen").body == "probe"
        assert there.waiting("short") == there.waiting("long") == there.waiting("seen") == 0


RETRYING = """
topology: t
exchanges:
  jobs: {type: topic}
  again: {type: fanout}
queues:
  image: {exchange: jobs, binding_key: "image.#", dead_letter: {exchange: again}}
  wait: {exchange: again, message_ttl: 50ms, dead_letter: {exchange: jobs}, tap: true}
workers:
  powerful: {queues: [image]}
"""


def test_a_round_with_a_rejection_has_no_end(broker: Broker) -> None:
    assert said(RETRYING) == {"endless-dead-letter-loop": "image"}
    assert explained_round(RETRYING, "jobs", "image", ("image", "wait")) == ["image"]

    with live(broker, RETRYING) as there:
        there.publish("jobs", "image")
        for rounds in range(6):
            message = there.fetched("image", keep=True)
            before = [("wait", "expired", rounds), ("image", "rejected", rounds)]
            assert deaths(message) == (before if rounds else [])
            there.give_back(message)


INTO_ITSELF = """
topology: t
exchanges: {jobs: {type: direct}}
queues:
  image: {exchange: jobs, binding_key: image, dead_letter: {exchange: "", routing_key: image}}
"""


def test_a_queue_that_is_its_own_dead_letter_queue_is_an_endless_round(broker: Broker) -> None:
    assert said(INTO_ITSELF) == {"endless-dead-letter-loop": "image"}
    with live(broker, INTO_ITSELF) as there:
        there.publish("jobs", "image")
        comes_back(there, "image", times=6)


# `order.late` has no way on from `dead`, and neither has any other key but `order.kept`.
LOST = """
topology: t
exchanges:
  orders: {type: topic}
  dead: {type: direct}
queues:
  order: {exchange: orders, binding_key: "order.*", message_ttl: 50ms,
          dead_letter: {exchange: dead}}
  kept: {exchange: dead, binding_key: order.kept}
"""
LOST_BY_NAME = """
topology: t
exchanges: {orders: {type: topic}}
queues:
  order: {exchange: orders, binding_key: "order.*", message_ttl: 50ms, dead_letter: {exchange: ""}}
  order.kept:
"""


@pytest.mark.parametrize(("text", "kept"), [(LOST, "kept"), (LOST_BY_NAME, "order.kept")])
def test_a_dead_letter_without_a_way_on_is_gone(broker: Broker, text: str, kept: str) -> None:
    lost = said(text)["dead-letter-goes-nowhere"]
    assert lost is not None
    dead = explained(text, "orders", lost)["dead_letters"]["order"]
    assert (dead["queues"], dead["outcome"]) == ([], "unroutable")
    dead = explained(text, "orders", "order.kept")["dead_letters"]["order"]
    assert dead["queues"] == [kept]

    with live(broker, text) as there:
        there.publish("orders", lost, "lost")  # dies first
        there.publish("orders", "order.kept", "kept")
        assert there.fetched(kept).body == "kept"
        assert there.waiting("order") == there.waiting(kept) == 0


# What waits in `wait` has that key, for which nothing is bound to `jobs`.
LOST_AFTER_WAITING = """
topology: t
defaults: {exchange: jobs}
exchanges: {jobs: {type: topic}}
queues:
  image: {exchange: jobs, binding_key: "image.#", dead_letter: {exchange: "", routing_key: wait}}
  wait: {message_ttl: 300ms, dead_letter: {exchange: jobs}, tap: true}
tasks: {a.Crop: {routing_key: image.crop}}
"""


def test_a_message_that_was_sent_by_name_has_the_name_for_a_key(broker: Broker) -> None:
    assert said(LOST_AFTER_WAITING) == {"dead-letter-goes-nowhere": "wait"}
    with live(broker, LOST_AFTER_WAITING) as there:
        there.publish("jobs", "image.crop")
        there.give_back(there.fetched("image", keep=True))
        until(lambda: there.waiting("wait"))
        until(lambda: not there.waiting("wait"))
        there.publish("jobs", "image.crop", "probe")
        assert there.fetched("image").body == "probe"


def test_a_task_that_is_sent_by_name_has_the_name_for_a_key() -> None:
    text = """
topology: t
exchanges: {dead: {type: direct}}
queues:
  image: {dead_letter: {exchange: dead}}
  graves: {exchange: dead, binding_key: imag}
tasks: {a.Crop: {exchange: "", routing_key: "{queue}", parameters: {queue: [image]}}}
"""
    assert said(text) == {"dead-letter-goes-nowhere": "image"}


# Only keys of images come to `image`, and only others to `rest`.
PARTED = """
topology: t
exchanges:
  jobs: {type: topic, alternate_exchange: rest}
  images: {type: fanout, internal: true, bindings: [{exchange: jobs, binding_key: "image.#"}]}
  rest: {type: fanout, internal: true}
  dead: {type: topic}
queues:
  image: {exchange: images, dead_letter: {exchange: dead}}
  rest: {exchange: rest, dead_letter: {exchange: OF_REST}}
  graves: {exchange: dead, binding_key: "image.#"}
"""


def test_only_keys_count_that_can_come_to_the_queue() -> None:
    assert said(PARTED.replace("OF_REST", "jobs")) == {"endless-dead-letter-loop": ""}
    assert said(PARTED.replace("OF_REST", "dead")) == {"dead-letter-goes-nowhere": ""}
    assert said(PARTED.replace(", dead_letter: {exchange: OF_REST}", "")) == {}


BY_HEADERS = """
topology: t
exchanges:
  jobs: {type: direct}
  dead: {type: headers}
queues:
  image: {exchange: jobs, binding_key: image, dead_letter: {exchange: dead, routing_key: gone}}
  europe: {bindings: [{exchange: dead, arguments: {x-match: all, region: eu}}]}
"""
FOR_THE_REST = "  rest: {bindings: [{exchange: dead}]}\n"
BACK_BY_HEADERS = """
topology: t
exchanges:
  jobs: {type: headers}
queues:
  europe: {bindings: [{exchange: jobs, arguments: {region: eu}}], dead_letter: {exchange: jobs}}
"""


def test_where_headers_decide_it_is_undecided_whether_a_dead_letter_is_lost(
    broker: Broker,
) -> None:
    assert said(BY_HEADERS) == {"dead-letter-goes-nowhere": None}
    assert said(BY_HEADERS + FOR_THE_REST) == {}
    with live(broker, BY_HEADERS) as there:
        for region in ("us", "eu"):
            there.publish("jobs", "image", region, region=region)
            there.give_back(there.fetched("image", keep=True))
        assert there.fetched("europe").body == "eu"
        assert there.waiting("europe") == 0


def test_a_round_of_dead_letters_by_headers_is_found(broker: Broker) -> None:
    found = [it for it in compile_text(BACK_BY_HEADERS).diagnostics if "loop" in it.code]
    assert [(it.code, it.headers) for it in found] == [
        ("endless-dead-letter-loop", {"region": "eu"})
    ]
    with live(broker, BACK_BY_HEADERS) as there:
        there.publish("jobs", "", region="eu")
        comes_back(there, "europe", times=3)


DYING = """
topology: t
exchanges:
  jobs: {type: topic}
  dead: {type: topic}
queues:
  job: {exchange: jobs, binding_key: "job.#", OPTIONS}
  same: {exchange: dead, binding_key: "job.*"}
  other: {exchange: dead, binding_key: "given.up"}
"""


def expire(there: VirtualHost) -> None:
    there.publish("jobs", "job.x")


def reject(there: VirtualHost) -> None:
    there.publish("jobs", "job.x")
    there.give_back(there.fetched("job", keep=True))


def overflow(there: VirtualHost) -> None:
    there.publish("jobs", "job.x", "first")
    there.publish("jobs", "job.x", "second")


def run_into_the_limit(there: VirtualHost) -> None:
    there.publish("jobs", "job.x")
    for _ in range(3):
        there.give_back(there.fetched("job", keep=True), requeue=True)


ANYHOW = {
    "expiry": ("message_ttl: 50ms", expire, "expired"),
    "rejection": ("max_length: 9", reject, "rejected"),
    "overflow": ("max_length: 1", overflow, "maxlen"),
    "overflow of the newest": ("max_length: 1, overflow: reject-publish-dlx", overflow, "maxlen"),
    "expiry in a quorum queue": ("type: quorum, message_ttl: 50ms", expire, "expired"),
    "rejection in a quorum queue": ("type: quorum", reject, "rejected"),
    "overflow of a quorum queue": ("type: quorum, max_length: 1", overflow, "maxlen"),
    "delivery limit": ("type: quorum, delivery_limit: 2", run_into_the_limit, "delivery_limit"),
}
ANYWHERE = {
    "its own key": ("{exchange: dead}", "same", "job.x"),
    "another key": ("{exchange: dead, routing_key: given.up}", "other", "given.up"),
    "by the name of a queue": ('{exchange: "", routing_key: other}', "other", "other"),
}


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize("how", ANYHOW)
def test_a_dead_letter_goes_where_the_compiler_says(broker: Broker, how: str, where: str) -> None:
    options, die, reason = ANYHOW[how]
    dead_letter, queue, key = ANYWHERE[where]
    text = DYING.replace("OPTIONS", f"{options}, dead_letter: {dead_letter}")
    dead = explained(text, "jobs", "job.x")["dead_letters"]["job"]
    assert (dead["queues"], dead["routing_key"]) == ([queue], key)

    with live(broker, text) as there:
        die(there)
        message = there.fetched(queue)
        assert deaths(message) == [("job", reason, 1)]
        assert message.delivery_info["routing_key"] == key
