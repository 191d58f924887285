"""Feeds a worker messages that are wrong in every way, and accounts for each of them.

Each is run or parked, and each that names a result (an id and a queue to reply to) gets one. The
worker's process must be the same at the end.
"""

from __future__ import annotations

import json
import pickle
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import amqp
from kombu.connection import Connection
from private_nodes import RabbitMQ, until
from project import Project

TOPOLOGY = """
topology: shop
parking: parked
exchanges: {tasks: {type: topic}}
queues:
  work: {exchange: tasks, binding_key: "work.#"}
  parked: {}
  replies: {tap: true, exchange: tasks, binding_key: "replies"}
tasks:
  jobs.take: {exchange: tasks, routing_key: work.take}
workers:
  all: {queues: [work], concurrency: 4, prefetch: 50}
"""

CODE = """
from routewright.runtime import App
from shop_routing import router

app = App(router)

@app.task
def take(*args, **kwargs):
    with open("ran", "a") as file:
        file.write("1\\n")
"""

DEEP = 100_000
HUGE = 3_000_000  # bytes
BOMB = zlib.compress(bytes(300_000_000), 9)
LAUGHS = "\n".join(
    ["a0: &a0 [lol]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**31, 2**62, 1.5, Decimal("1.5"), b"\xff\0", "", " "),
    *("\x1b[2J", "a\nb", "x" * 300, "\u2603", [], {}, [[]], {"a": {"b": [1]}}, [1, "2", None]),
    *(datetime(2020, 1, 1, tzinfo=UTC), "2020-01-01T00:00:00", "soon", "jobs.take", "9" * 5000),
)
HEADERS = (
    *("task", "id", "eta", "retries", "timelimit", "root_id", "parent_id", "lang", "argsrepr"),
    *(
        "ignore_result",
        "compression",
        "stamps",
        "group",
        "shadow",
        "x-death",
        "routewright-history",
    ),
)
BODIES: tuple[bytes, ...] = (
    b"[[], {}, {}]",
    b'[[1], {"a": 2}, null]',
    b"",
    b"{",
    b"null",
    b"[]",
    b"[[], {}]",
    b"[[], {}, {}, {}]",
    b"[5, {}, {}]",
    b"[[], [], {}]",
    b"[[], {}, 7]",
    b'[[], {"\\u0000": 1}, {}]',
    b'[[{"__type__": "datetime", "__value__": "never"}], {}, {}]',
    b'[[{"__type__": "nothing", "__value__": 1}], {}, {}]',
    b'[[], {}, {"chord": {"task": "jobs.take"}}]',
    b'[[], {}, {"chain": 5}]',
    b'[[], {}, {"callbacks": [[]]}]',
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"[[" + b"9" * 6000 + b"], {}, {}]",
    b"\xff\xfe\0",
    b'[["\\ud800"], {}, {}]',
    BOMB,
    LAUGHS.encode(),
    b"- " * 2_000,
    b"!!python/object/apply:os._exit [1]",
    pickle.dumps(([], {}, {})),
    b"cos\n_exit\n(I1\ntR.",
    b"\xdd\xff\xff\xff\xff",
    b"\x81" * 2_000,
)
TYPES = (
    *("application/json", "application/x-yaml", "application/x-python-serialize", ""),
    *("application/x-msgpack", "application/data", "text/plain", "nonsense", "x" * 255, None),
)
ENCODINGS = ("utf-8", "binary", "klingon", "", "ascii", "utf-16", None)
COMPRESSIONS = ("application/x-gzip", "application/x-bz2", "application/x-lzma", "zstd", 5)


@dataclass(frozen=True)
class Message:
    """A message as it is published."""

    body: bytes
    properties: dict[str, Any]

    @property
    def names_result(self) -> bool:
        """Whether somebody can be told what became of it."""
        headers = self.properties["application_headers"]
        named = headers.get("id")
        return (
            self.properties.get("reply_to") == "replies"
            and isinstance(named, str)
            and named.isprintable()
            and 0 < len(named.encode()) <= 255
            and headers.get("ignore_result") is not True
        )


@dataclass
class Account:
    """What became of the messages."""

    sent: int
    ran: int
    parked: int
    unanswered: list[str] = field(default_factory=list)
    same_process: bool = True

    @property
    def is_settled(self) -> bool:
        return self.sent == self.ran + self.parked and not self.unanswered and self.same_process

    def __str__(self) -> str:
        return (
            f"{self.sent:,} sent: {self.ran:,} ran, {self.parked:,} parked,"
            f" {self.sent - self.ran - self.parked:,} vanished;"
            f" {len(self.unanswered):,} without the result they named; the process"
            f" {'lived' if self.same_process else 'DIED'}"
        )


def messages(seed: int, count: int) -> Iterator[Message]:
    """So many messages, of which some are sound and most have several faults."""
    chance = Random(seed)
    for number in range(count):
        headers: dict[str, Any] = {"task": "jobs.take", "id": f"{seed}-{number}", "lang": "py"}
        properties: dict[str, Any] = {
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "application_headers": headers,
        }
        body = BODIES[0]
        if chance.random() < 0.6:
            properties["reply_to"] = chance.choice(["replies", "replies", "nowhere", "x" * 255])
        for _ in range(chance.choice([0, 1, 1, 1, 2, 4])):
            match chance.randrange(8):
                case 0 | 1:
                    headers[chance.choice(HEADERS)] = chance.choice(ODD)
                case 2:
                    headers.pop(chance.choice(HEADERS), None)
                case 3:
                    headers["".join(chance.choices("abc-\u2603\n", k=5))] = chance.choice(ODD)
                case 4:
                    properties["content_type"] = chance.choice(TYPES)
                    body = chance.choice(BODIES)
                case 5:
                    properties["content_encoding"] = chance.choice(ENCODINGS)
                case 6:
                    body = chance.choice(BODIES)
                case _:
                    headers["compression"] = chance.choice(COMPRESSIONS)
                    body = chance.choice([zlib.compress(body), body, BOMB])
        if chance.random() < 0.002:
            body = b'[["' + b"x" * HUGE + b'"], {}, {}]'
        if chance.random() < 0.002:
            headers["much"] = "x" * 90_000
        yield Message(body, {k: v for k, v in properties.items() if v is not None})


def fuzz(node: RabbitMQ, seed: int, count: int, patience: float = 1800) -> Account:
    """Have a worker process take so many messages."""
    vhost = node.fresh_vhost()
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), node.url(vhost), TOPOLOGY, CODE)
        with project.worker() as process:
            until(lambda: len(project.pids(process)) == 1)
            before = project.pids(process)
            wanted = _publish(project.url, seed, count)
            until(lambda: _empty(node, vhost), patience)
            same = project.pids(process) == before
        answered = _replies(project.url)
        parked = project.waiting("parked")
        ran = len(project.lines("ran"))
    missing = list((wanted - answered).elements())
    return Account(count, ran, parked, missing, same)


def _publish(url: str, seed: int, count: int) -> Counter[str]:
    """Publish the messages; the ids of those that name a result."""
    wanted: Counter[str] = Counter()
    with Connection(url) as connection:
        channel: Any = connection.channel()
        for message in messages(seed, count):
            body: Any = message.body  # bytes, whatever py-amqp is annotated with
            sent = amqp.Message(body, **message.properties)
            channel.basic_publish(sent, exchange="", routing_key="work")
            if message.names_result:
                wanted[message.properties["application_headers"]["id"]] += 1
    return wanted


def _empty(node: RabbitMQ, vhost: str) -> bool:
    rows = node.list_queues(vhost, "name", "messages")
    return {row["name"]: row["messages"] for row in rows}["work"] == 0


def _replies(url: str) -> Counter[str]:
    """The ids of the results that came, with how many for each; each is a FAILURE or a SUCCESS."""
    found: Counter[str] = Counter()
    with Connection(url) as connection:
        channel: Any = connection.channel()
        while raw := channel.basic_get("replies", no_ack=True):
            meta = json.loads(raw.body)
            assert meta["status"] in ("SUCCESS", "FAILURE", "REVOKED"), meta
            found[meta["task_id"]] += 1
    return found
