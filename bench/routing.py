"""Publishes to a real RabbitMQ and looks who got what; and times the routing of one key."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Any

import amqp
import tests_path  # noqa: F401  puts what tests share on the path
from command_line import numbers, progress
from kombu.transport.virtual.exchange import TopicExchange
from private_nodes import RabbitMQ
from random_topologies import message_to, topology_with_predeclared
from rich.console import Console
from rich.table import Table

from routewright.compiler.executor.over_amqp import apply_topology
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.routing.delivery import Delivery
from routewright.compiler.routing.routing import Routing

_MESSAGES = 100  # to each topology
_BINDINGS = 50_000
_PATTERNS = 5  # bindings of a queue in the timing

Message = tuple[str, str, dict[str, Any]]


@dataclass
class Tally:
    """What was published, by what it met, and the first message that went elsewhere."""

    met: Counter[str] = field(default_factory=Counter)
    copies: int = 0
    wrong: int = 0
    first: str | None = None


def compare_all(node: RabbitMQ, options: argparse.Namespace) -> Tally:
    tally = Tally()
    for number in _shown(range(options.topologies)):
        randomly = Random(f"{options.seed}/{number}")
        topology = topology_with_predeclared(randomly, f"t{number}")
        messages = [message_to(topology, randomly) for _ in range(_MESSAGES)]
        routing = Routing(topology)
        vhost = node.fresh_vhost()
        apply_topology(topology, node.url(vhost))
        got = _published(node, vhost, topology, messages)
        node.delete_vhost(vhost)
        for place, message in enumerate(messages):
            delivery = routing.route(*message)
            _count(tally.met, topology, message, delivery)
            tally.copies += len(delivery.queues)
            if got[place] != Counter(delivery.queues):
                tally.wrong += 1
                tally.first = tally.first or (
                    f"topology {number} of seed {options.seed}, message {message}: "
                    f"the compiler says {delivery.queues}, and it reached {got[place]}"
                )
    return tally


def _published(
    node: RabbitMQ, vhost: str, topology: Topology, messages: list[Message]
) -> dict[int, Counter[str]]:
    """The queues that got each message, and how often; all are sent before the first is fetched.

    What a channel publishes is in the queues before the channel's next question is answered.
    """
    got: defaultdict[int, Counter[str]] = defaultdict(Counter)
    with amqp.Connection(
        f"127.0.0.1:{node.port}", "guest", "guest", virtual_host=vhost
    ) as connection:
        channel: Any = connection.channel()
        for number, (exchange, key, headers) in enumerate(messages):
            message = amqp.Message(str(number), application_headers=headers, delivery_mode=1)
            channel.basic_publish(message, exchange, key)
        waiting = sum(channel.queue_declare(it, passive=True)[1] for it in topology.queues)
        for queue in topology.queues:

            def received(message: Any, queue: str = queue) -> None:
                got[int(message.body)][queue] += 1

            channel.basic_consume(queue, no_ack=True, callback=received)
        while sum(sum(queues.values()) for queues in got.values()) < waiting:
            connection.drain_events(timeout=10)
    return got


def _count(met: Counter[str], topology: Topology, message: Message, delivery: Delivery) -> None:
    exchange, key, headers = message
    met["published"] += 1
    met["reached no queue"] += not delivery.queues
    met["reached several queues"] += len(delivery.queues) > 1
    met["to the default exchange"] += not exchange
    met["to the broker's own exchanges"] += exchange.startswith("amq.")
    met["with an empty word in the key"] += "" in key.split(".") and bool(key)
    met["with the empty key"] += not key and bool(exchange)
    met["with headers"] += bool(headers)
    onward = [it for it in delivery.hops if isinstance(it.destination, Exchange)]
    led_to = [it.destination for it in onward if isinstance(it.destination, Exchange)]
    first = topology.exchange(exchange)
    types = {it.type for it in (first, *led_to) if it and it.name}
    for kind in ("direct", "topic", "fanout", "headers"):
        met[f"by way of a {kind} exchange"] += kind in types
    met["by a binding between exchanges"] += any(it.binding for it in onward)
    met["by an alternate exchange"] += any(not it.binding for it in onward)
    met["by way of an internal exchange"] += any(it.internal for it in led_to)


@dataclass
class Timing:
    """Microseconds for one key, and what both answered."""

    ours: list[float] = field(default_factory=list)
    kombus: list[float] = field(default_factory=list)
    same: int = 0


def time_lookups(keys: int, seed: int) -> Timing:
    """One key at a time, with 50,000 bindings of 10,000 queues at one topic exchange."""
    randomly = Random(seed)
    exchange = Exchange("tasks", "topic")
    queues = {name: Queue(name) for name in (f"queue{n}" for n in range(_BINDINGS // _PATTERNS))}
    bindings = [
        Binding(exchange, queue, key)
        for number, queue in enumerate(queues.values())
        for key in _binding_keys(number)
    ]
    routing = Routing(
        Topology("large", exchanges={"tasks": exchange}, queues=queues, bindings=tuple(bindings))
    )
    kombus = TopicExchange(None)
    table = [kombus.prepare_bind(it.destination.name, "tasks", it.key, {}) for it in bindings]
    asked = [_some_key(randomly) for _ in range(keys)]
    routing.route("tasks", asked[0])  # makes the table
    kombus.lookup(table, "tasks", asked[0], None)  # compiles the expressions
    timing, answers = Timing(), list[set[str]]()
    # One after the other: kombu's walk over all bindings leaves nothing of ours in the caches.
    for key in asked:
        seconds, delivery = _timed(lambda key=key: routing.route("tasks", key))
        timing.ours.append(1e6 * seconds)
        answers.append(set(delivery.queues))
    for key, ours in zip(_shown(asked), answers, strict=True):
        seconds, found = _timed(lambda key=key: kombus.lookup(table, "tasks", key, None))
        timing.kombus.append(1e6 * seconds)
        timing.same += ours == found
    return timing


def _binding_keys(number: int) -> Iterator[str]:
    """Five for each queue; one in ten has wildcards, of which every fourth begins with one."""
    service = f"service{number}"
    yield from (f"{service}.{word}" for word in ("created", "updated", "deleted", "archived"))
    wild = (f"{service}.*.failed", f"{service}.#", f"{service}.eu.*.done", f"*.{service}.retried")
    yield wild[number // 2 % 4] if number % 2 else f"{service}.restored"


def _some_key(randomly: Random) -> str:
    service = f"service{randomly.randrange(_BINDINGS // _PATTERNS)}"
    keys = (f"{service}.created", f"{service}.eu.failed", f"eu.{service}.retried", f"{service}.x.y")
    return randomly.choice(keys)


def _timed(function: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = function()
    return time.perf_counter() - began, found


def main() -> int:
    options = _options()
    console = Console()
    timing = time_lookups(options.keys, options.seed)
    console.print(_lookup_table(timing))
    if options.topologies == 0:
        return 0
    began = time.perf_counter()
    with RabbitMQ() as node:
        tally = compare_all(node, options)
    console.print(_table(tally, options, time.perf_counter() - began))
    if tally.first:
        print(tally.first)
    return 1 if tally.wrong else 0


def _options() -> argparse.Namespace:
    return numbers(__doc__, topologies=(320, "100 messages to each"), keys=(200, "keys to time"))


def _shown(things: Any) -> Iterator[Any]:
    with progress() as bar:
        yield from bar.track(things, description="Routing")


def _table(tally: Tally, options: argparse.Namespace, seconds: float) -> Table:
    table = Table(
        title=f"RabbitMQ and the compiler, {options.topologies} topologies of seed {options.seed}, "
        f"{seconds:.0f} s"
    )
    table.add_column("messages")
    table.add_column("", justify="right")
    for what, count in tally.met.items():
        table.add_row(what, f"{count:,}", end_section=what == "published")
    table.add_section()
    table.add_row("copies that the compiler names", f"{tally.copies:,}")
    table.add_row("messages that went elsewhere", f"{tally.wrong:,}", style="bold")
    return table


def _lookup_table(timing: Timing) -> Table:
    table = Table(title=f"One key among {_BINDINGS:,} bindings, {len(timing.ours)} keys")
    table.add_column("")
    for name in ("median us", "slowest us", "times"):
        table.add_column(name, justify="right")
    ours, kombus = median(timing.ours), median(timing.kombus)
    table.add_row("`Routing.route`", f"{ours:.1f}", f"{max(timing.ours):.1f}", "1")
    table.add_row(
        "kombu's `TopicExchange.lookup`",
        f"{kombus:,.0f}",
        f"{max(timing.kombus):,.0f}",
        f"{kombus / ours:,.0f}",
    )
    table.add_row("keys with the same answer", f"{timing.same}", "", "")
    return table


if __name__ == "__main__":
    sys.exit(main())
