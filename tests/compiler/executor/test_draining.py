"""What waits in queues that are removed goes its way first, and nothing takes that way from it."""

import random
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from deploying import apply, session
from kombu.connection import Connection
from plan_states import owning
from private_nodes import Broker, until
from random_topologies import random_topology

from routewright.compiler import compile_text
from routewright.compiler.broker.errors import StillInUse
from routewright.compiler.executor.deploy import deploy, execute, plan_for
from routewright.compiler.lowering.delays import ladder_for_runtime, with_delays
from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue, Topology
from routewright.compiler.plan.changes import Disown, RemoveExchange, RemoveQueue, Unbind
from routewright.compiler.planner.make_plan import make_plan

CHAIN = """
exchanges: {in: {type: topic}, second: {type: topic}, out: {type: topic}}
queues:
  a_last: {exchange: in, binding_key: "#", message_ttl: 2s, dead_letter: {exchange: second}}
  b: {exchange: second, binding_key: "#", message_ttl: 1s, dead_letter: {exchange: out}}
  work: {exchange: out, binding_key: "#"}
"""
NOTHING_BUT_WORK = """
exchanges: {out: {type: topic}}
queues:
  work: {exchange: out, binding_key: "#"}
"""


def topology(text: str) -> Topology:
    compilation = compile_text(f"topology: t\n{text}")
    assert compilation.topology, compilation.diagnostics
    return compilation.topology


def publish(broker: Broker, exchange: str, count: int = 1) -> None:
    with Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
        for _ in range(count):
            connection.Producer().publish("x", exchange=exchange, routing_key="k")


def waiting(broker: Broker) -> dict[str, int]:
    with Connection(broker.url) as connection:
        channel = connection.channel()
        return {
            it["name"]: channel.queue_declare(it["name"], passive=True).message_count
            for it in broker.queues("name")
        }


def test_what_waits_in_a_chain_of_queues_arrives_though_all_of_it_is_removed(
    broker: Broker,
) -> None:
    apply(topology(CHAIN), broker)
    publish(broker, "in", 3)
    wanted = topology(NOTHING_BUT_WORK)
    with session(broker) as opened, pytest.raises(StillInUse, match="`a_last` stays: it has 3"):
        deploy(wanted, opened)
    until(lambda: waiting(broker)["work"] == 3)
    apply(wanted, broker)
    assert waiting(broker) == {"work": 3}
    with session(broker) as opened:
        assert not plan_for(wanted, opened).steps


def test_a_queue_of_which_messages_are_held_unacknowledged_does_not_go(broker: Broker) -> None:
    apply(topology(CHAIN), broker)
    wanted = topology(NOTHING_BUT_WORK)
    with Connection(broker.url) as connection:
        channel = connection.channel()
        connection.Producer(channel).publish("x", exchange="second", routing_key="k")
        held: list[object] = []
        until(lambda: (it := channel.basic_get("b")) is not None and not held.append(it))
        where = f"/queues/{broker.vhost}/b"
        until(lambda: broker.node.api("GET", where).get("messages_unacknowledged") == 1)
        with session(broker) as opened:
            plan = plan_for(wanted, opened)
            with pytest.raises(StillInUse, match="`b` stays: 1 of its messages are not ack"):
                execute(plan, opened)
        assert len(broker.queues("name")) == 3
    until(lambda: waiting(broker)["work"] == 1)
    apply(wanted, broker)


def test_what_is_delayed_already_arrives_when_it_should_though_delays_change(
    broker: Broker,
) -> None:
    text = "delays: {resolution: %s, max: %s}\ntarget: rabbitmq-3.10\n" + NOTHING_BUT_WORK
    old, new, without = text % ("100ms", "10s"), text % ("7s", "7d"), NOTHING_BUT_WORK
    apply(with_delays(topology(old)), broker)
    ladder = ladder_for_runtime(topology(old))
    assert ladder
    with Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
        for delay in (0.5, 2.1, 2.5):
            exchange, key = ladder.address("", "work", timedelta(seconds=delay))
            connection.Producer().publish("x", exchange=exchange, routing_key=key)
    started = time.monotonic()
    with session(broker) as opened:
        plan = plan_for(with_delays(topology(new)), opened, allowed=())
        assert {it.code for it in plan.held} == {"remove-queue", "remove-exchange"}
        execute(plan, opened)
    for wanted in (with_delays(topology(new)), topology(without)):
        with pytest.raises(StillInUse, match=r"queue `t\.delay\.7x100ms\.\d` stays"):
            apply(wanted, broker)
    until(lambda: waiting(broker)["work"] == 3)
    assert 2 < time.monotonic() - started < 6
    apply(topology(without), broker)
    assert waiting(broker) == {"work": 3}


def test_none_of_the_queues_that_lead_to_each_other_goes_before_all_are_empty(
    broker: Broker,
) -> None:
    ring = """
exchanges: {tasks: {type: topic}, retry: {type: topic}}
queues:
  work: {exchange: tasks, binding_key: "#", dead_letter: {exchange: retry}}
  wait: {exchange: retry, binding_key: "#", message_ttl: 60s, dead_letter: {exchange: tasks}}
"""
    apply(topology(ring), broker)
    publish(broker, "retry")
    with pytest.raises(StillInUse, match="queue `wait` stays: it has 1 messages"):
        apply(Topology("t"), broker)
    assert waiting(broker) == {"work": 0, "wait": 1}


def test_without_leave_to_remove_an_exchange_it_keeps_its_bindings(broker: Broker) -> None:
    apply(topology(CHAIN), broker)
    before = broker.bindings()
    with session(broker) as opened:
        plan = plan_for(topology(NOTHING_BUT_WORK), opened, allowed=())
        assert not plan.pending
        held = {it.code for it in plan.held if isinstance(it.change, Unbind)}
        assert held == {"remove-exchange"}
        execute(plan, opened)
    assert broker.bindings() == before


def test_an_exchange_whose_queue_stays_keeps_its_binding_without_leave() -> None:
    old = topology("""
exchanges: {tasks: {type: topic}, extra: {type: topic}}
queues: {work: {exchange: extra, binding_key: "#"}}
""")
    new = topology("""
exchanges: {tasks: {type: topic}}
queues: {work: {exchange: tasks, binding_key: "#"}}
""")
    plan = make_plan(new, owning(old), allowed=())
    assert [str(it.change) for it in plan.steps] == [
        "binding of queue `work` to exchange `tasks` with key `#`"
    ]
    assert {it.code for it in plan.held} == {"remove-exchange"}


def test_a_binding_that_takes_no_other_key_away_stays_until_what_leads_to_it_is_empty() -> None:
    text = """
exchanges: {tasks: {type: topic}, dead: {type: direct}}
queues:
  work: {exchange: tasks, binding_key: "#"}
  old: {exchange: tasks, binding_key: old, dead_letter: {exchange: dead, routing_key: old}}
  dead: {exchange: dead, binding_key: other}
  kept: {exchange: dead, binding_key: old}
"""
    new = """
exchanges: {tasks: {type: topic}, dead: {type: direct}}
queues:
  work: {exchange: tasks, binding_key: "#"}
  dead: {exchange: dead, binding_key: other}
"""
    plan = make_plan(topology(new), owning(topology(text)))
    order = [str(it.change) for it in plan.steps]
    way = "binding of queue `kept` to exchange `dead` with key `old`"
    assert order.index("queue `old`") < order.index("queue `kept`") < order.index(way)
    assert order.index("binding of queue `old` to exchange `tasks` with key `old`") == 0


def test_a_policy_of_dead_letters_stays_until_the_queue_is_empty() -> None:
    queue, dead = Queue("q"), Exchange("dead", "fanout")
    policy = Policy("p", "^q$", {"dead-letter-exchange": "dead"}, apply_to="queues")
    old = Topology(
        "t",
        exchanges={"dead": dead},
        queues={"q": with_policy(queue, [policy]), "end": Queue("end")},
        bindings=(Binding(dead, Queue("end"), ""),),
        policies={"p": policy},
    )
    plan = make_plan(Topology("t"), owning(old))
    order = [str(it.change) for it in plan.steps if not isinstance(it.change, Disown)]
    assert order == [
        "queue `q`",
        "queue `end`",
        "binding of queue `end` to exchange `dead` with key ``",
        "policy `p`",
        "exchange `dead`",
    ]


def with_dead_letters(found: Topology, randomly: random.Random) -> Topology:
    exchanges = sorted(found.exchanges)
    return replace(
        found,
        queues={
            name: replace(it, arguments={"x-dead-letter-exchange": randomly.choice(exchanges)})
            for name, it in found.queues.items()
        },
    )


def some_of(found: Topology, randomly: random.Random) -> Topology:
    """A topology without about half of its exchanges and queues, and what is bound to these."""
    exchanges = {name: it for name, it in found.exchanges.items() if randomly.random() < 0.5}
    queues = {name: it for name, it in found.queues.items() if randomly.random() < 0.5}
    left = {*exchanges, *queues, *found.predeclared}
    return replace(
        found,
        exchanges=exchanges,
        queues=queues,
        bindings=tuple(
            it for it in found.bindings if {it.source.name, it.destination.name} <= left
        ),
    )


@pytest.mark.parametrize("block", range(4))
def test_at_no_moment_of_a_random_plan_does_a_queue_that_goes_lose_its_way(block: int) -> None:
    seen = 0
    for seed in range(block * 25, block * 25 + 25):
        randomly = random.Random(seed)
        old = with_dead_letters(random_topology(randomly, "t"), randomly)
        plan = make_plan(some_of(old, randomly), owning(old))
        names = {
            it.change.exchange.name for it in plan.steps if isinstance(it.change, RemoveExchange)
        }
        unbound = set[str]()
        for step in plan.steps:
            match step.change:
                case Unbind(binding) if binding.source.name in names:
                    unbound.add(binding.source.name)
                case RemoveExchange(exchange):
                    unbound.add(exchange.name)
                case RemoveQueue(queue) if queue.name in old.queues:
                    seen += queue.dead_letter_exchange in names
                    assert queue.dead_letter_exchange not in unbound, (seed, queue.name)
                case _:
                    pass
    assert seen


def test_an_exchange_that_things_of_others_lead_to_stays() -> None:
    dead, their = Exchange("dead", "fanout"), Exchange("their", "fanout")
    beside = Exchange("beside", "fanout", arguments={"alternate-exchange": "dead"})
    queue = Queue("their-queue", arguments={"x-dead-letter-exchange": "dead"})
    ours = owning(Topology("t", exchanges={"dead": dead}))
    for exchanges, queues, bindings in (
        ({"their": their}, {}, (Binding(their, dead),)),
        ({"beside": beside}, {}, ()),
        ({}, {"their-queue": queue}, ()),
    ):
        there = replace(
            ours.topology, exchanges={"dead": dead, **exchanges}, queues=queues, bindings=bindings
        )
        plan = make_plan(Topology("t"), replace(ours, topology=there))
        assert not plan.steps
        (line,) = plan.in_use
        assert line.startswith("exchange `dead` stays: ")
        assert line.endswith("which is not owned")


def test_a_queue_of_one_connection_is_not_bound() -> None:
    queue, exchange = Queue("q"), Exchange("e", "fanout")
    wanted = Topology(
        "t", exchanges={"e": exchange}, queues={"q": queue}, bindings=(Binding(exchange, queue),)
    )
    there = owning(replace(wanted, queues={}, bindings=()))
    live = replace(there, topology=replace(wanted, bindings=()), exclusive=frozenset({"q"}))
    plan = make_plan(wanted, live)
    assert not plan.pending
    assert plan.foreign == ("queue `q`",)


def with_policies(*policies: Policy, queues: tuple[str, ...]) -> Topology:
    dead, end = Exchange("dead", "fanout"), Queue("end")
    return Topology(
        "t",
        exchanges={"dead": dead},
        queues={"end": end, **{it: with_policy(Queue(it), policies) for it in queues}},
        bindings=(Binding(dead, end, ""),),
        policies={it.name: it for it in policies},
    )


def dead_letters(pattern: str, exchange: str = "dead") -> Policy:
    return Policy("p", pattern, {"dead-letter-exchange": exchange}, apply_to="queues")


def test_a_policy_is_narrowed_once_the_queue_that_goes_is_gone_and_not_without_leave() -> None:
    old = owning(with_policies(dead_letters("^(q|kept)$"), queues=("q", "kept")))
    new = with_policies(dead_letters("^kept$"), queues=("kept",))
    assert [str(it.change) for it in make_plan(new, old).steps][:2] == ["queue `q`", "policy `p`"]
    safe = make_plan(new, old, allowed=())
    assert not safe.pending
    assert {it.code for it in safe.held} == {"remove-queue", "remove-policy"}


def test_a_policy_leads_to_an_exchange_that_is_there_and_bound() -> None:
    old = with_policies(dead_letters("^q$"), queues=("q",))
    new = with_policies(dead_letters("^q$", "new"), queues=("q",))
    exchange, end = Exchange("new", "fanout"), Queue("new-end")
    new = replace(
        new,
        exchanges={**new.exchanges, "new": exchange},
        queues={**new.queues, "new-end": end},
        bindings=(*new.bindings, Binding(exchange, end, "")),
    )
    order = [str(it.change) for it in make_plan(new, owning(old)).steps]
    assert order[-1] == "policy `p`"


def limited(name: str, pattern: str, length: int, priority: int) -> Policy:
    return Policy(name, pattern, {"max-length": length}, priority, "queues")


@pytest.mark.parametrize("removed", [False, True])
def test_a_lower_limit_by_two_policies_together_needs_leave(removed: bool) -> None:
    high, low = limited("a", "^q$", 1000, 10), limited("b", "^q$", 5, 1)
    moved = () if removed else (limited("a", "^other$", 1000, 10),)
    old = with_policies(high, limited("b", "^q$", 1000, 1), queues=("q",))
    if removed:
        old = with_policies(high, low, queues=("q",))
    plan = make_plan(with_policies(*moved, low, queues=("q",)), owning(old))
    assert "drop-messages" in plan.codes
