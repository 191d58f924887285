"""The router's own routing of any key is the compiler's, which is the broker's."""

from __future__ import annotations

import random
from typing import Any

import pytest
from random_topologies import random_message, random_topology
from seeds import numbers

from routewright.compiler.emit import Stamp
from routewright.compiler.emit.router import router
from routewright.compiler.model.topology import Binding, Exchange, Queue, Topology
from routewright.compiler.routing.delivery import Outcome
from routewright.compiler.routing.routing import Routing
from routewright.runtime import Router
from routewright.runtime.router.exchanges import Reached


def generated(topology: Topology) -> Router[str]:
    """The router of the module that is generated for a topology."""
    text = router(topology, Stamp("topology.yaml", "sha256:0", "1"), Routing(topology))
    names: dict[str, Any] = {}
    exec(text.replace("from .names import TaskName", "TaskName = str"), names)
    found: Router[str] = names["router"]
    return found


@pytest.mark.parametrize("seed", numbers(20, 60))
def test_any_message_reaches_what_the_compiler_says(seed: int) -> None:
    randomly = random.Random(seed)
    topology = random_topology(randomly, "t")
    routing, graph = Routing(topology), generated(topology).graph
    for _ in range(100):
        message = random_message(randomly, topology)
        delivery = routing.route(*message)
        assert graph.reached(*message) == Reached(delivery.queues), message


def test_the_random_messages_reach_queues_in_every_way() -> None:
    """Or the test above would show nothing."""
    seen: set[object] = set()
    for seed in range(60):
        randomly = random.Random(seed)
        topology = random_topology(randomly, "t")
        routing = Routing(topology)
        for _ in range(100):
            delivery = routing.route(*random_message(randomly, topology))
            seen.add(("queues", min(len(delivery.queues), 3)))
            for hop in delivery.hops:
                source = topology.exchange(hop.exchange)
                seen.add((source and source.type, type(hop.destination), hop.binding is None))
    assert {("queues", count) for count in range(4)} <= seen
    for kind in ("direct", "topic", "fanout", "headers"):
        assert {(kind, Queue, False), (kind, Exchange, False), (kind, Exchange, True)} <= seen


def test_an_exchange_of_a_plugin_leaves_the_answer_to_the_broker() -> None:
    foreign, plain = Exchange("foreign", "x-jms-topic"), Exchange("plain", "fanout")
    sure, unsure = Queue("sure"), Queue("unsure")
    topology = Topology(
        "t",
        exchanges={it.name: it for it in (foreign, plain)},
        queues={it.name: it for it in (sure, unsure)},
        bindings=(
            Binding(foreign, unsure, "1"),
            Binding(plain, foreign),
            Binding(plain, sure),
        ),
    )
    graph = generated(topology).graph
    assert graph.reached("plain", "any", {}) == Reached(("sure",), certain=False)
    assert Routing(topology).route("plain", "any").outcome is Outcome.UNDECIDED
