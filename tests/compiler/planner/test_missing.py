"""What is created never refers to what is not there yet."""

from collections.abc import Callable

import pytest
from seeds import numbers

from routewright.compiler.model.topology import (
    PREDECLARED,
    Binding,
    Exchange,
    Queue,
    Topology,
)
from routewright.compiler.plan.changes import Bind, DeclareExchange, DeclareQueue
from routewright.compiler.plan.virtual_host import Present
from routewright.compiler.planner.missing import missing


@pytest.mark.parametrize("seed", numbers(15, 50))
def test_everything_is_there_before_it_is_referred_to(
    random_topology: Callable[[int], Topology], seed: int
) -> None:
    topology = random_topology(seed)
    exchanges, queues = {*PREDECLARED}, set[str]()
    for change in missing(topology, Present()):
        match change:
            case DeclareExchange(exchange):
                exchanges.add(exchange.name)
            case DeclareQueue(queue):
                queues.add(queue.name)
                assert exchanges >= topology.exchanges.keys()  # its dead-letter exchange among them
            case Bind(binding, new):
                assert new
                assert binding.source.name in exchanges
                destination = binding.destination
                known = exchanges if isinstance(destination, Exchange) else queues
                assert destination.name in known
    assert exchanges - PREDECLARED.keys() == topology.exchanges.keys()
    assert queues == topology.queues.keys()


def test_an_alternate_exchange_comes_before_its_user() -> None:
    one = Exchange("a", arguments={"alternate-exchange": "b"})
    two = Exchange("b", arguments={"alternate-exchange": "c"})
    three = Exchange("c", arguments={"alternate-exchange": "of nobody"})
    topology = Topology("t", exchanges={"a": one, "b": two, "c": three})
    assert missing(topology, Present()) == tuple(map(DeclareExchange, (three, two, one)))


def test_an_exchange_is_bound_last_so_that_it_leads_somewhere_by_then() -> None:
    front, back, queue = Exchange("front"), Exchange("back"), Queue("q")
    into, out = Binding(front, back, "k"), Binding(back, queue, "k")
    topology = Topology(
        "t", exchanges={"front": front, "back": back}, queues={"q": queue}, bindings=(into, out)
    )
    assert missing(topology, Present())[-2:] == (Bind(out), Bind(into))


def test_only_what_is_missing_is_declared_and_every_binding_repeated() -> None:
    tasks, video, image = Exchange("tasks"), Queue("video"), Queue("image")
    to_video, to_image = Binding(tasks, video, "v"), Binding(tasks, image, "i")
    topology = Topology(
        "t",
        exchanges={"tasks": tasks},
        queues={"video": video, "image": image},
        bindings=(to_video, to_image),
    )
    present = Present(frozenset({"tasks"}), frozenset({"video"}))
    assert missing(topology, present) == (
        DeclareQueue(image),
        Bind(to_video, new=False),
        Bind(to_image, new=True),
    )
