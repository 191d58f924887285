"""A queue is replaced by one with other attributes, and nothing that was confirmed is lost."""

from collections import Counter
from contextlib import suppress

import pytest
from deploying import apply, session
from kombu.connection import Connection
from private_nodes import Broker

from routewright.compiler.broker.changes import DeclareQueue
from routewright.compiler.broker.deploy import deploy, plan_for
from routewright.compiler.broker.errors import ConnectionLost, StillInUse
from routewright.compiler.broker.plan_file import from_json, to_json
from routewright.compiler.topology import Binding, Exchange, Queue, Topology

pytestmark = pytest.mark.broker

QUORUM: dict[str, object] = {"x-queue-type": "quorum"}
CREATED = 2  # steps until the queue that stands in is there


def topology(arguments: dict[str, object], *, durable: bool = True) -> Topology:
    exchange = Exchange("e", "topic")
    queue = Queue("q", durable=durable, arguments=arguments)  # type: ignore[arg-type]
    return Topology(
        "t",
        exchanges={"e": exchange},
        queues={"q": queue},
        bindings=(Binding(exchange, queue, "a.#"), Binding(exchange, queue, "b")),
    )


def publish(broker: Broker, *bodies: str) -> None:
    with Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
        producer = connection.Producer()
        for body in bodies:
            producer.publish(
                body,
                exchange="e",
                routing_key="a.x",
                message_id=body,
                correlation_id=body,
                headers={"CC": ["q"], "kept": 1},
                mandatory=True,
                expiration=600,
            )


def waiting(broker: Broker, queue: str = "q") -> Counter[str]:
    found: Counter[str] = Counter()
    with Connection(broker.url) as connection:
        channel = connection.channel()
        while message := channel.basic_get(queue, no_ack=True):
            body = message.body.decode() if isinstance(message.body, bytes) else message.body
            assert message.properties["message_id"] == body
            assert message.properties["application_headers"]["kept"] == 1
            found[body] += 1
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"x-max-priority": 5}),
        ({"x-message-ttl": 500_000}, {"x-message-ttl": 600_000}),
        ({}, QUORUM),
        (QUORUM, {}),
        ({"x-max-length": 1000}, {"x-dead-letter-exchange": "e"}),
    ],
)
def test_the_messages_of_a_replaced_queue_are_kept(
    broker: Broker, old: dict[str, object], new: dict[str, object]
) -> None:
    apply(topology(old), broker)
    publish(broker, *(f"m{n}" for n in range(20)))
    before = broker.bindings()
    apply(topology(new), broker)
    assert broker.bindings() == before
    with session(broker) as opened_:
        assert not plan_for(topology(new), opened_).steps
    assert [it["name"] for it in broker.queues("name")] == ["q"]
    assert waiting(broker) == Counter({f"m{n}": 1 for n in range(20)})


def test_a_queue_with_a_consumer_is_not_touched_and_the_consumer_is_named(broker: Broker) -> None:
    apply(topology({}), broker)
    before = broker.bindings()
    with Connection(broker.url) as connection:
        connection.channel().basic_consume("q", callback=lambda _: None)
        with pytest.raises(StillInUse, match=r"queue `q` is still in use .*nothing was changed"):
            apply(topology(QUORUM), broker, wait=0)
    assert broker.bindings() == before
    apply(topology(QUORUM), broker)


def test_it_needs_leave_by_its_code_and_goes_through_a_file(broker: Broker) -> None:
    apply(topology({}), broker)
    with session(broker) as opened_:
        plan = plan_for(topology(QUORUM), opened_)
        assert plan.codes == ("replace-queue",)
        assert not plan_for(topology(QUORUM), opened_, allowed=()).steps
        again = from_json("plan.json", to_json(plan).encode())
        assert not deploy(again, opened_).differs
        assert not plan_for(topology(QUORUM), opened_).steps


def test_a_policy_that_would_limit_the_queue_that_stands_in_is_named(broker: Broker) -> None:
    apply(topology({}), broker)
    everything = {"pattern": ".*", "definition": {"max-length": 3}, "apply-to": "queues"}
    broker.node.api("PUT", f"/policies/{broker.vhost}/all", everything)
    with session(broker) as opened_:  # under it both are alike
        assert not plan_for(topology(QUORUM), opened_).replacements
    others = {**everything, "pattern": "^routewright"}
    broker.node.api("PUT", f"/policies/{broker.vhost}/all", others)
    with session(broker) as opened_:
        plan = plan_for(topology(QUORUM), opened_)
    assert not plan.pending
    (withheld,) = plan.replacements
    assert withheld.why == (
        "`x-queue-type` cannot be changed, and policy `all` would give the queue that stands in "
        "`max-length`; have its pattern leave out `routewright.`"
    )


def test_what_is_rejected_while_another_queue_stands_in_goes_where_it_would_have_gone(
    broker: Broker,
) -> None:
    dead: dict[str, object] = {
        "x-dead-letter-exchange": "e",
        "x-dead-letter-routing-key": "grave",
    }
    apply(topology(dead), broker)
    with session(broker) as opened_:
        plan = plan_for(topology({**dead, "x-max-priority": 2}), opened_)
    stand_ins = [it.change.queue for it in plan.steps if isinstance(it.change, DeclareQueue)]
    assert dead.items() <= stand_ins[0].arguments.items()
    assert stand_ins[0].name == "routewright.standin.queue.q"


def test_a_queue_that_stands_in_of_another_type_is_gone_on_with(broker: Broker) -> None:
    """A plan is killed when a quorum queue stands in, and then the old type is wanted after all."""
    apply(topology({}), broker)
    publish(broker, "m0")

    def cut(_phase: str, done: int, _total: int) -> None:
        if done == CREATED:
            raise ConnectionLost("killed")

    with suppress(ConnectionLost):
        apply(topology(QUORUM), broker, on_step=cut)
    assert any(it["name"].startswith("routewright.standin") for it in broker.queues("name"))
    apply(topology({"x-max-priority": 3}), broker)
    assert [it["name"] for it in broker.queues("name")] == ["q"]
    assert waiting(broker) == Counter({"m0": 1})


def test_a_queue_that_others_bind_is_not_replaced(broker: Broker) -> None:
    apply(topology({}), broker)
    with Connection(broker.url) as connection:
        channel = connection.channel()
        channel.exchange_declare("theirs", "topic", durable=True, auto_delete=False)
        channel.queue_bind("q", "theirs", "a")
    with session(broker) as opened_:
        plan = plan_for(topology(QUORUM), opened_)
    assert not plan.pending
    assert [it.why for it in plan.replacements] == [
        "`x-queue-type` cannot be changed, and it is bound to exchange `theirs`, which is not owned"
    ]


def test_killed_after_any_step_it_is_finished_by_the_same_command(broker: Broker) -> None:
    """Messages are published all the while; a killed move leaves some twice, under one id."""
    flavours: list[dict[str, object]] = [{}, {"x-max-priority": 3}]
    apply(topology(flavours[0]), broker)
    with session(broker) as opened_:
        steps = len(plan_for(topology(flavours[1]), opened_).pending)
    assert steps > 30
    published = 0
    for killed_after in range(1, steps, 2):
        wanted = topology(flavours[(killed_after // 2 + 1) % 2])

        def cut(_phase: str, done: int, _total: int, limit: int = killed_after) -> None:
            nonlocal published
            publish(broker, f"m{published}")  # mandatory: one that reached no queue would raise
            published += 1
            if done == limit:
                raise ConnectionLost("killed")

        with suppress(ConnectionLost):
            apply(wanted, broker, on_step=cut)
        apply(wanted, broker)
        with session(broker) as opened_:
            assert not plan_for(wanted, opened_).steps
    assert [it["name"] for it in broker.queues("name")] == ["q"]
    assert waiting(broker) == Counter({f"m{n}": 1 for n in range(published)})
