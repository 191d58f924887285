"""A queue is replaced by one with other attributes, and nothing that was confirmed is lost."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import amqp
import pytest
from deploying import apply, apply_killed_once, session
from kombu.connection import Connection
from plan_states import owning
from private_nodes import Broker, until

from routewright.compiler.broker.errors import ConnectionLost, PermissionRefused, StillInUse
from routewright.compiler.executor.deploy import execute, plan_for
from routewright.compiler.model.policies import with_policy
from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue, Topology
from routewright.compiler.plan.changes import DeclareQueue
from routewright.compiler.plan.file import from_json, to_json
from routewright.compiler.plan.plan import Plan
from routewright.compiler.planner.make_plan import make_plan

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


@contextmanager
def channel_to(broker: Broker) -> Iterator[Any]:
    where = f"127.0.0.1:{broker.node.port}"
    with amqp.Connection(where, virtual_host=broker.vhost) as connection:
        yield connection.channel()


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
        assert not execute(again, opened_).differs
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


@pytest.mark.parametrize(("old", "new"), [({}, QUORUM), (QUORUM, {}), ({}, {"x-max-priority": 5})])
def test_what_was_moved_is_dead_lettered_by_the_keys_it_came_with(
    broker: Broker, old: dict[str, object], new: dict[str, object]
) -> None:
    """Those that are also the names of queues apart, for these would get a copy by them."""
    dead = {"x-dead-letter-exchange": "d"}
    exchange, dying = Exchange("e", "topic"), Exchange("d", "topic")
    names = ("audit", "named", "a", "b", "c")

    def dying_in(arguments: dict[str, object]) -> Topology:
        queue = Queue("q", arguments={**arguments, **dead})  # type: ignore[arg-type]
        queues = {it: Queue(it) for it in names}
        return Topology(
            "t",
            exchanges={"e": exchange, "d": dying},
            queues={"q": queue, **queues},
            bindings=(
                *(Binding(exchange, queue, it) for it in ("video.#", "cc.#", "named")),
                Binding(exchange, queues["audit"], "video.#"),
                Binding(dying, queues["a"], "video.*"),
                Binding(dying, queues["b"], "cc.#"),
                Binding(dying, queues["c"], "named"),
            ),
        )

    apply(dying_in(old), broker)
    with channel_to(broker) as channel:
        channel.confirm_select()
        for key, copies in (("video.x", []), ("video.y", ["cc.z"]), ("named", [])):
            headers = {"CC": copies} if copies else {}
            message = amqp.Message(key, application_headers=headers)
            channel.basic_publish_confirm(message, "e", key, mandatory=True)
    apply(dying_in(new), broker)
    apply(dying_in(old), broker)
    with channel_to(broker) as channel:
        until(lambda: channel.queue_declare("q", passive=True).message_count == 3)
        while message := channel.basic_get("q"):
            channel.basic_reject(message.delivery_tag, requeue=False)
        until(lambda: channel.queue_declare("a", passive=True).message_count == 2)

        def waiting_in(queue: str) -> list[str]:
            return [it.body for it in iter(lambda: channel.basic_get(queue, no_ack=True), None)]

        assert sorted(waiting_in("a")) == sorted(waiting_in("audit")) == ["video.x", "video.y"]
        assert waiting_in("b") == ["video.y"]
        assert waiting_in("named") == waiting_in("c") == []


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

        def published_and_killed(done: int, limit: int = killed_after) -> bool:
            nonlocal published
            publish(broker, f"m{published}")  # mandatory: one that reached no queue would raise
            published += 1
            return done == limit

        apply_killed_once(wanted, broker, published_and_killed)
    assert [it["name"] for it in broker.queues("name")] == ["q"]
    assert waiting(broker) == Counter({f"m{n}": 1 for n in range(published)})


def auto_deleted(arguments: dict[str, object]) -> Topology:
    it = topology(arguments)
    queue = replace(it.queues["q"], auto_delete=True)
    bound = tuple(replace(found, destination=queue) for found in it.bindings)
    return replace(it, queues={"q": queue}, bindings=bound)


def test_a_queue_that_would_go_with_its_consumers_is_not_replaced_while_it_has_any(
    broker: Broker,
) -> None:
    apply(auto_deleted({}), broker)
    publish(broker, "m0", "m1")
    wanted = auto_deleted({"x-max-priority": 3})
    with session(broker) as opened_:
        plan = plan_for(wanted, opened_)
    with Connection(broker.url) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, a_global=False)
        channel.basic_consume("q", callback=lambda _: None)
        with (
            session(broker) as opened_,
            pytest.raises(StillInUse, match="queue `q` stays: nothing was changed; it is deleted"),
        ):
            execute(plan, opened_)
        with session(broker) as opened_:  # which the API counts a little later
            until(lambda: plan_for(wanted, opened_).replacements)
            (withheld,) = plan_for(wanted, opened_).replacements
        assert "deleted with its last consumer" in withheld.why


def test_a_queue_that_would_go_with_its_consumers_is_replaced_before_it_has_any(
    broker: Broker,
) -> None:
    apply(auto_deleted({}), broker)
    publish(broker, "m0", "m1")
    apply(auto_deleted({"x-max-priority": 3}), broker)
    assert waiting(broker) == Counter({"m0": 1, "m1": 1})


@pytest.mark.parametrize(
    ("old", "new", "drops"),
    [
        ({}, {"x-max-length": 3}, True),
        ({"x-max-length": 9}, {"x-max-length": 3}, True),
        ({"x-max-length": 3}, {"x-max-length": 9}, False),
        ({"x-message-ttl": 600_000}, {}, False),
        ({}, {"x-message-ttl": 600_000}, True),
        ({}, {"x-max-length": 3, "x-overflow": "reject-publish"}, False),
    ],
)
def test_a_lower_limit_needs_leave_to_drop_messages(
    broker: Broker, old: dict[str, object], new: dict[str, object], drops: bool
) -> None:
    apply(topology(old), broker)
    publish(broker, "m0")
    with session(broker) as opened_:
        plan = plan_for(topology(new), opened_)
        assert plan.codes == (("drop-messages",) if drops else ()) + ("replace-queue",)
        held = plan_for(topology(new), opened_, allowed=["replace-queue"])
        assert bool(held.pending) is not drops
        assert [it.code for it in held.held] == (["drop-messages"] if drops else [])
    said = [it.destroys for it in plan.steps if it.code == "drop-messages"]
    assert len(said) == drops
    assert all(it.startswith("messages over the new limit: `q` has ") for it in said)


def test_a_limit_by_a_policy_counts_when_a_queue_is_replaced(broker: Broker) -> None:
    apply(topology({}), broker)
    policies = {"few": Policy("few", "^q$", {"max-length": 3}, 1, "queues")}
    wanted = replace(topology({"x-max-priority": 3}), policies=policies)
    with session(broker) as opened_:
        assert "drop-messages" in plan_for(wanted, opened_).codes


def test_what_a_queue_took_before_it_took_no_more_is_not_left_where_it_was(broker: Broker) -> None:
    sent = [f"m{n}" for n in range(10)]
    few = {"x-max-length": 3, "x-overflow": "reject-publish"}
    apply(topology({}), broker)
    publish(broker, *sent)
    with pytest.raises(StillInUse, match="queue `q` takes no more messages"):
        apply(topology(few), broker)
    first = waiting(broker)
    assert 3 <= first.total() < len(sent)  # a queue counts what it has a little late
    found = first + waiting(broker, "routewright.standin.queue.q")
    assert found == Counter(dict.fromkeys(sent, 1))


def test_a_queue_does_not_expire_while_its_last_consumers_are_waited_for(broker: Broker) -> None:
    apply(topology({"x-expires": 1000}), broker)
    publish(broker, "m0", "m1")
    gone: list[str] = []
    with Connection(broker.url) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 1, a_global=False)
        channel.basic_consume("q", "theirs", callback=lambda _: None)

        def leave(_queue: str, _who: str) -> None:
            if not gone:
                gone.append("theirs")
                channel.basic_cancel("theirs")
                connection.close()

        apply(topology({"x-expires": 600_000}), broker, on_wait=leave)
    assert gone
    assert waiting(broker) == Counter({"m0": 1, "m1": 1})


def test_what_the_broker_would_not_take_is_said_before_the_old_queue_goes(broker: Broker) -> None:
    apply(topology({}), broker)
    before = broker.bindings()
    everything = {"configure": ".*", "write": "^(?!secret)", "read": ".*"}
    broker.node.api("PUT", "/users/replacer", {"password": "secret", "tags": "policymaker"})
    broker.node.api("PUT", f"/permissions/{broker.vhost}/replacer", everything)
    with session(broker, "replacer", "secret") as opened_:
        plan = plan_for(topology({"x-dead-letter-exchange": "secret-exchange"}), opened_)
        with pytest.raises(PermissionRefused, match=r"queue `q`: .*secret-exchange.*nothing was"):
            execute(plan, opened_)
    assert broker.bindings() == before
    assert [it["name"] for it in broker.queues("name")] == ["q"]


def planned(policy: dict[str, object], old: dict[str, object], new: dict[str, object]) -> Plan:
    """The plan for other arguments of a queue that a policy of others applies to."""
    others = Policy("others", ".*", policy, apply_to="queues")  # type: ignore[arg-type]
    there = topology(old)
    queue = with_policy(there.queues["q"], [others])
    live = owning(replace(there, queues={"q": queue}))
    there = replace(live.topology, policies={"others": others})
    return make_plan(topology(new), replace(live, topology=there))


def test_a_limit_of_others_stands_in_the_way_where_nothing_was_dropped_before() -> None:
    rejects: dict[str, object] = {"x-overflow": "reject-publish"}
    (withheld,) = planned(
        {"max-length": 50}, rejects, {**rejects, "x-max-priority": 5}
    ).replacements
    assert "policy `others` would give the queue that stands in `max-length`" in withheld.why
    assert not planned({"max-length": 50}, {}, {"x-max-priority": 5}).replacements


def test_what_stands_in_has_the_dead_letters_that_others_gave_the_queue() -> None:
    plan = planned({"dead-letter-exchange": "dead"}, {}, {"x-max-priority": 5})
    (created,) = (
        it.change.queue
        for it in plan.steps
        if isinstance(it.change, DeclareQueue) and it.change.queue.name != "q"
    )
    assert created.arguments["x-dead-letter-exchange"] == "dead"


def test_messages_that_a_new_limit_would_dead_letter_need_leave() -> None:
    limited = {"x-max-length": 5, "x-dead-letter-exchange": "dead"}
    rejecting: dict[str, object] = {**limited, "x-overflow": "reject-publish"}
    assert "drop-messages" not in planned({"queue-mode": "lazy"}, {}, rejecting).codes
    rejecting["x-overflow"] = "reject-publish-dlx"
    assert "drop-messages" in planned({"queue-mode": "lazy"}, {}, rejecting).codes
