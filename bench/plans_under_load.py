"""Plans carried out under load, killed with -9 after every step and started again: what is lost."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
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
from rich.console import Console
from rich.table import Table

from routewright.compiler import compile_text
from routewright.compiler.broker.declare import bind, declare_exchange, declare_queue
from routewright.compiler.broker.deploy import deploy, plan_for
from routewright.compiler.broker.errors import Busy, StillInUse
from routewright.compiler.broker.session import opened
from routewright.compiler.topology import Topology

sys.path.append(str(Path(__file__).parent.parent / "tests" / "nodes"))

from private_nodes import RabbitMQ

_BACKLOG = 300  # messages
_NOT_YET = 3  # an exit code: try again

_HEAD = "topology: load\nexchanges:\n  tasks: {type: topic}\n  dead: {type: fanout}\nqueues:\n"
_OTHER = '  other: {exchange: tasks, binding_key: "other.#"}\n  grave: {exchange: dead}\n'


def _work(options: str = "", key: str = "work.#") -> str:
    return f'{_HEAD}{_OTHER}  work: {{exchange: tasks, binding_key: "{key}"{options}}}\n'


KINDS: dict[str, tuple[str, str]] = {
    "message-ttl changed": (_work(", message_ttl: 1h"), _work(", message_ttl: 2h")),
    "max-priority changed": (_work(), _work(", max_priority: 5")),
    "classic to quorum": (_work(), _work(", type: quorum")),
    "dead-letter target moved": (_work(), _work(", dead_letter: {exchange: dead}")),
    "bindings refactored": (_work(), _work(key="work.*").replace('work.*"', 'work.*.#"')),
    "a queue split": (
        _work(),
        _work(key="work.a.#") + '  work-b: {exchange: tasks, binding_key: "work.b.#"}\n',
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
    """Publishers with confirms, and perhaps consumers, on one virtual host."""

    node: RabbitMQ
    vhost: str
    confirmed: set[str] = field(default_factory=set)
    returned: int = 0
    got: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, publishers: int, queues: tuple[str, ...]) -> None:
        for number in range(publishers):
            self._run(self._publish, number)
        for queue in queues:
            self._run(self._consume, queue)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def connect(self) -> Any:
        connection = amqp.Connection(
            f"127.0.0.1:{self.node.port}", virtual_host=self.vhost, confirm_publish=True
        )
        connection.connect()
        return connection

    def _run(self, target: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _publish(self, number: int) -> None:
        with self.connect() as connection:
            channel, back = connection.channel(), []
            channel.events["basic_return"].add(lambda *it: back.append(it))
            count = 0
            while not self._stop.is_set():
                if len(self.confirmed) - len(self.got) > _BACKLOG:
                    time.sleep(0.01)  # or each move would take longer than the last
                    continue
                count += 1
                name = f"{number}-{count}"
                key = f"work.{'ab'[count % 2]}"
                message = amqp.Message(name, message_id=name, delivery_mode=2)
                channel.basic_publish(message, "tasks", key, mandatory=True)
                if back:
                    self.returned += 1
                    back.clear()
                else:
                    self.confirmed.add(name)

    def _consume(self, queue: str) -> None:
        while not self._stop.is_set():
            # A get from a quorum queue that is just going closes the connection with 541.
            with suppress(amqp.exceptions.AMQPError, OSError), self.connect() as connection:
                channel = connection.channel()
                while not self._stop.is_set():
                    if self._next(channel, queue) is None:
                        time.sleep(0.01)

    def _next(self, channel: Any, queue: str) -> Any:
        """One message at a time by a get: a consumer would keep the queue from being replaced."""
        try:
            message = channel.basic_get(queue)
        except amqp.exceptions.NotFound:
            return None
        if message is not None:
            self.got[message.properties["message_id"]] += 1
            channel.basic_ack(message.delivery_tag)
        return message

    def drain(self) -> None:
        with self.connect() as connection:
            channel = connection.channel()
            for row in self.node.api("GET", f"/queues/{self.vhost}"):
                while self._next(channel, row["name"]) is not None:
                    pass


def killed_after_every_step(node: RabbitMQ, old: str, new: str, every: int) -> tuple[int, Load]:
    """There and back again, each time killed one step later and started again."""
    vhost = node.fresh_vhost()
    with opened(node.url(vhost), 10, node.management_url) as session:
        deploy(plan_for(_topology(old), session), session)
    load = Load(node, vhost)
    load.start(2, ("work", "work-b", "moved", "unused", "grave"))
    kills, killed = 0, True
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, text in enumerate((new, old)):
            files.append(Path(folder, f"{number}.yaml"))
            files[-1].write_text(text)
        while killed or kills % 2:
            ways = (str(files[kills % 2]), node.url(vhost), node.management_url)
            killed = _carried_out(*ways, str(1 + kills * every))
            _carried_out(*ways, "0")
            kills += 1
    time.sleep(0.3)
    load.stop()
    load.drain()
    return kills, load


def _carried_out(*arguments: str) -> bool:
    """Run a plan in a process of its own; whether that was killed."""
    while True:
        command = [sys.executable, __file__, "--carry-out", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == -signal.SIGKILL:
            return True
        if done.returncode == 0:
            return False
        if done.returncode != _NOT_YET:
            raise SystemExit(done.stderr)


def carry_out(file: str, url: str, management: str, kill_after: str) -> int:
    """Carry a plan out, and be killed after some of its steps; 0 kills nothing."""
    with opened(url, 10, management) as session:
        plan = plan_for(_topology(Path(file).read_text()), session)

        def die(_phase: str, done: int, _total: int) -> None:
            if done == int(kill_after):
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            deploy(plan, session, die)
        except (StillInUse, Busy):  # a message came, or the dead one's lock is about to go
            return _NOT_YET
    return 0


def naive(node: RabbitMQ, old: str, new: str) -> Load:
    """Delete what differs, declare and bind again, in this order, under the same load."""
    vhost = node.fresh_vhost()
    with opened(node.url(vhost), 10, node.management_url) as session:
        deploy(plan_for(_topology(old), session), session)
    load = Load(node, vhost)
    load.start(2, ())
    time.sleep(0.5)
    with load.connect() as connection:
        channel = connection.channel()
        wanted = _topology(new)
        for name in wanted.queues:
            channel.queue_delete(name)
        for exchange in wanted.exchanges.values():
            declare_exchange(channel, exchange)
        for queue in wanted.queues.values():
            declare_queue(channel, queue)
        for binding in wanted.bindings:
            bind(channel, binding)
    time.sleep(0.3)
    load.stop()
    load.drain()
    return load


def _topology(text: str) -> Topology:
    topology = compile_text(text).topology
    assert topology is not None
    return topology


def main() -> int:
    if sys.argv[1:2] == ["--carry-out"]:
        return carry_out(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="the beginning of a kind's name")
    parser.add_argument("--every", type=int, default=1, help="kill after every so many steps")
    arguments = parser.parse_args()
    columns = ("change", "kills", "confirmed", "lost", "twice", "returned")
    table = Table(*columns, "naive: lost", "naive: returned", title="Plans under load")
    lost = 0
    with RabbitMQ() as node:
        for kind, (old, new) in KINDS.items():
            if arguments.only and not kind.startswith(arguments.only):
                continue
            kills, load = killed_after_every_step(node, old, new, arguments.every)
            missing = load.confirmed - load.got.keys()
            twice = sum(count > 1 for count in load.got.values())
            other = naive(node, old, new)
            figures = (kills, len(load.confirmed), len(missing), twice, load.returned)
            gone = len(other.confirmed - other.got.keys())
            table.add_row(kind, *(f"{it:,}" for it in (*figures, gone, other.returned)))
            print(f"{kind}: lost {len(missing)}, returned {load.returned}", file=sys.stderr)
            lost += len(missing) + load.returned
    Console().print(table)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
