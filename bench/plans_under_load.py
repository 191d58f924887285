"""Plans carried out under load and killed with -9 after every single step: what is lost by that.

Publishers with confirms and consumers work at full speed while a topology becomes another one. Each
start of the apply is killed after its first step, and the next one plans anew from what it finds,
until nothing is left to do. Then the way back, where each start gets further before it is killed.
The same changes in the order that comes first to mind (delete, declare, bind) show that a loss
would be seen.

    python bench/plans_under_load.py [--only KIND] [--every STEPS]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amqp
import tests_path  # noqa: F401  puts what tests share on the path
from killed_apply import applied, topology_of
from private_nodes import RabbitMQ, until
from rich.console import Console
from rich.table import Table

from routewright.compiler.broker.amqp_calls import bind, declare_exchange, declare_queue
from routewright.compiler.broker.open_session import open_session
from routewright.compiler.executor.deploy import deploy
from routewright.runtime.errors import BrokerUnreachable
from routewright.runtime.transport.broker import Broker, LinkLost
from routewright.runtime.transport.consumer import Consumer, Delivery
from routewright.runtime.transport.waker import Waker
from routewright.runtime.worker.departures import Departures
from routewright.runtime.worker.group_queues import GroupQueues

_BACKLOG = 2000  # messages that publishers are ahead of consumers at most
_PREFETCH = 100
_PUBLISHERS = 2
_QUEUES = ("work", "work-b", "moved", "grave")

_HEAD = "topology: load\nexchanges:\n  tasks: {type: topic}\n  dead: {type: fanout}\nqueues:\n"
_OTHER = '  other: {exchange: tasks, binding_key: "other.#"}\n  grave: {exchange: dead}\n'


def _work(options: str = "", key: str = "work.#") -> str:
    return f'{_HEAD}{_OTHER}  work: {{exchange: tasks, binding_key: "{key}"{options}}}\n'


_DIRECT = """
topology: load
exchanges: {tasks: {type: direct}, dead: {type: fanout}}
queues:
  other: {exchange: tasks, binding_key: other}
  grave: {exchange: dead}
  work: {bindings: [{exchange: tasks, binding_key: work.a}, {exchange: tasks, binding_key: work.b}]}
"""

KINDS: dict[str, tuple[str, str]] = {
    "message-ttl changed": (_work(", message_ttl: 1h"), _work(", message_ttl: 2h")),
    "max-priority changed": (_work(), _work(", max_priority: 5")),
    "classic to quorum": (_work(), _work(", type: quorum")),
    "exchange type changed": (_work(), _DIRECT),
    "dead-letter target moved": (
        _work(", dead_letter: {exchange: dead}"),
        _work(", dead_letter: {exchange: tasks, routing_key: other.dead}"),
    ),
    "bindings refactored": (_work(), _work(key="work.*.#")),
    "split by a carve-out": (
        _work(),
        _work() + "  work-b: {carve_out_of: work, binding_key: work.b}\n",
    ),
    "keys moved to another queue": (
        _work(),
        (
            f'{_HEAD}{_OTHER}  work: {{exchange: tasks, binding_key: "was.#"}}\n'
            '  moved: {exchange: tasks, binding_key: "work.#"}\n'
        ),
    ),
}


@dataclass
class Load:
    """Publishers with confirms, and consumers, on one virtual host."""

    node: RabbitMQ
    vhost: str
    confirmed: set[str] = field(default_factory=set)
    returned: int = 0  # confirmed, and routed to no queue
    refused: int = 0  # answered with 404, not confirmed, and published again
    got: Counter[str] = field(default_factory=Counter)
    closing: set[str] = field(default_factory=set)  # queues that are to be left
    _stop: threading.Event = field(default_factory=threading.Event)
    _publishers: list[threading.Thread] = field(default_factory=list)
    _consumers: list[threading.Thread] = field(default_factory=list)

    def start(self, queues: tuple[str, ...]) -> None:
        for number in range(_PUBLISHERS):
            self._publishers.append(_thread(self._publish, number))
        for queue in queues:
            self._consumers.append(_thread(self._consume, queue))

    def stop(self) -> None:
        """Stop publishing; and consuming, once there is nothing more to consume."""
        self._stop.set()
        for thread in self._publishers:
            thread.join()
        if self._consumers:
            with suppress(AssertionError):  # what is lost never comes
                until(lambda: self.got.keys() >= self.confirmed, 30)
        for thread in self._consumers:
            thread.join()

    def connect(self) -> Any:
        connection = amqp.Connection(
            f"127.0.0.1:{self.node.port}", virtual_host=self.vhost, confirm_publish=True
        )
        connection.connect()
        return connection

    def _publish(self, number: int) -> None:
        count, back = 0, list[Any]()
        with self.connect() as connection:
            while not self._stop.is_set():
                channel = connection.channel()
                channel.events["basic_return"].add(lambda *it: back.append(it))
                with suppress(amqp.exceptions.NotFound):
                    while not self._stop.is_set():
                        self._publish_one(channel, f"{number}-{count}", count, back)
                        count += 1
                    return
                self.refused += 1

    def _publish_one(self, channel: Any, name: str, count: int, back: list[Any]) -> None:
        while self._consumers and len(self.confirmed) - len(self.got) > _BACKLOG:
            time.sleep(0.01)
        message = amqp.Message(name, message_id=name, correlation_id=name, delivery_mode=2)
        channel.basic_publish(message, "tasks", f"work.{'ab'[count % 2]}", mandatory=True)
        if back:
            self.returned += 1
            back.clear()
        else:
            self.confirmed.add(name)

    def _consume(self, queue: str) -> None:
        """Consume as a worker does, which leaves a queue when it is told to."""
        waker = Waker()
        broker = Broker(self.node.url(self.vhost))
        departures = Departures(lambda _consumer, _queue: 0)
        queues = GroupQueues([queue], on_order=departures.tell, patient=True)
        while not self._is_over():
            if queue in self.closing:
                time.sleep(0.05)
                continue
            received: list[Delivery] = []
            try:
                consumer = Consumer(
                    broker, received.append, queues.subscribe, waker=waker, prefetch=_PREFETCH
                )
            except (BrokerUnreachable, LinkLost):
                time.sleep(0.1)
                continue
            with suppress(LinkLost):
                while not self._is_over() and queue not in self.closing:
                    consumer.wait(0.05)
                    for delivery in received:
                        self.got[str(delivery.envelope.correlation_id)] += 1
                        consumer.ack(delivery)
                    received.clear()
                    departures.look(queues)
                    queues.look_for_missing()
            consumer.close()
            departures.forget()

    def _is_over(self) -> bool:
        return self._stop.is_set() and self.got.keys() >= self.confirmed

    def drain(self) -> None:
        with self.connect() as connection:
            channel = connection.channel()
            for row in self.node.api("GET", f"/queues/{self.vhost}"):
                while (message := channel.basic_get(row["name"], no_ack=True)) is not None:
                    self.got[message.properties["message_id"]] += 1


def _thread(target: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread


@dataclass
class Killed:
    """What applies did that were killed, and the load that they were under."""

    load: Load
    stepwise: int = 0  # starts that were killed after their first step
    further: int = 0  # starts that were killed after some, and then finished
    seconds: float = 0.0


def killed_after_every_step(node: RabbitMQ, old: str, new: str, every: int) -> Killed:
    """There by a start for every step; then back and there again, killed some steps later."""
    vhost = node.fresh_vhost()
    with open_session(node.url(vhost), 10, node.management_url) as session:
        deploy(topology_of(old), session)
    found = Killed(Load(node, vhost))
    found.load.start(_QUEUES)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "new.yaml"), Path(folder, "old.yaml")]
        for file, text in zip(files, (new, old), strict=True):
            file.write_text(text)

        def go(file: Path, kill_after: int) -> str:
            def close() -> None:
                found.load.closing |= {*_QUEUES} - topology_of(file.read_text()).queues.keys()

            return applied(file, node.url(vhost), node.management_url, kill_after, close)

        steps, after = set[str](), 1
        while last := go(files[0], after):
            found.stepwise += 1
            # Nothing is left on the broker of consumers told and messages moved: such a step is
            # done again by the next start, which is killed after the one that follows.
            after = after + 1 if last in steps else 1
            steps.add(last)
        killed = bool(every)
        while killed:
            file = files[(found.further + 1) % 2]
            killed = bool(go(file, 1 + found.further * every))
            go(file, 0)
            found.load.closing.clear()
            found.further += killed
    found.seconds = time.monotonic() - started
    found.load.stop()
    found.load.drain()
    node.delete_vhost(vhost)
    return found


def naive(node: RabbitMQ, old: str, new: str) -> Load:
    """Delete what differs, declare and bind again, in this order, under the same publishers."""
    vhost = node.fresh_vhost()
    with open_session(node.url(vhost), 10, node.management_url) as session:
        deploy(topology_of(old), session)
    load = Load(node, vhost)
    load.start(())
    until(lambda: len(load.confirmed) > _BACKLOG // 4)
    was, wanted = topology_of(old), topology_of(new)
    with load.connect() as connection:
        channel = connection.channel()
        for name in was.queues:
            channel.queue_delete(name)
        for name, it in was.exchanges.items():
            if wanted.exchanges.get(name) != it:
                channel.exchange_delete(name)
        for exchange in wanted.exchanges.values():
            declare_exchange(channel, exchange)
        for queue in wanted.queues.values():
            declare_queue(channel, queue)
        for binding in wanted.bindings:
            bind(channel, binding)
    count = len(load.confirmed)
    until(lambda: len(load.confirmed) > count + 100)
    load.stop()
    load.drain()
    node.delete_vhost(vhost)
    return load


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--only", help="the beginning of a kind's name")
    parser.add_argument(
        "--every", type=int, default=7, help="and get so many steps further each time; 0: do not"
    )
    arguments = parser.parse_args()
    table = Table(
        "change", "killed at once", "later", "confirmed", "per s", "lost", "twice", "returned",
        "404", "naive: lost", "returned", title="Plans under load",
    )  # fmt: skip
    wrong = 0
    with RabbitMQ() as node:
        for kind, (old, new) in KINDS.items():
            if arguments.only and not kind.startswith(arguments.only):
                continue
            found = killed_after_every_step(node, old, new, arguments.every)
            load, other = found.load, naive(node, old, new)
            lost = len(load.confirmed - load.got.keys())
            twice = sum(count > 1 for count in load.got.values())
            figures = (
                found.stepwise,
                found.further,
                len(load.confirmed),
                int(len(load.confirmed) / found.seconds),
                lost,
                twice,
                load.returned,
                load.refused,
                len(other.confirmed - other.got.keys()),
                other.returned,
            )
            table.add_row(kind, *(f"{it:,}" for it in figures))
            print(f"{kind}: {figures}", file=sys.stderr)
            wrong += lost + load.returned
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
