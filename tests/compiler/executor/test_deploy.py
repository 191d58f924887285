"""Plans carried out on a real broker: what is there afterwards, what is not touched, what fails."""

import json
from typing import Any

import pytest
from deploying import apply, session
from kombu.connection import Connection
from private_nodes import Broker
from random_changes import random_pair

from routewright.compiler.broker import inspect as live
from routewright.compiler.broker.errors import (
    BrokerError,
    Busy,
    ConnectionLost,
    CredentialsRefused,
    NotABroker,
    Outdated,
    PermissionRefused,
    StillInUse,
    Unreachable,
    Unsupported,
)
from routewright.compiler.broker.inspect import look
from routewright.compiler.broker.open_session import open_session
from routewright.compiler.definitions.file import read_definitions
from routewright.compiler.executor import bulk
from routewright.compiler.executor.deploy import deploy, execute, plan_for
from routewright.compiler.model.topology import (
    PREDECLARED,
    Binding,
    Exchange,
    Policy,
    Queue,
    Topology,
)
from routewright.compiler.plan.file import from_json, to_json
from routewright.compiler.plan.plan import Plan
from routewright.compiler.routing.routing import Routing

pytestmark = pytest.mark.broker


def plan(topology: Topology, broker: Broker, **options: Any) -> Plan:
    with session(broker) as opened_:
        return plan_for(topology, opened_, **options)


def names(broker: Broker) -> set[str]:
    return {str(it["name"]) for it in broker.node.api("GET", f"/queues/{broker.vhost}")}


def bindings(broker: Broker) -> set[tuple[str, str, str]]:
    return {
        (it["source"], it["destination"], it["routing_key"])
        for it in broker.bindings()
        if not it["source"].startswith("routewright.owned.")
    }


def one_queue(name: str = "q", **arguments: Any) -> Topology:
    exchange, queue = Exchange("e", "topic"), Queue(name, arguments=arguments)
    return Topology(
        "t",
        exchanges={"e": exchange},
        queues={name: queue},
        bindings=(Binding(exchange, queue, "k.#"),),
    )


@pytest.mark.parametrize("seed", range(15))
def test_after_an_apply_a_second_plan_is_empty(broker: Broker, seed: int) -> None:
    old, new = random_pair(seed)
    for topology in (old, new):
        apply(topology, broker)
        again = plan(topology, broker)
        assert not again.steps
        with session(broker) as opened_:
            assert opened_.api
            there = look(opened_.api).topology
        assert {it.identity for it in there.bindings} == {it.identity for it in topology.bindings}
        assert there.exchanges.keys() == topology.exchanges.keys()
        assert there.queues.keys() == topology.queues.keys()


@pytest.mark.parametrize("size", [4_000, 25, 3])
def test_many_things_are_created_at_once_and_are_what_was_declared(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", size)
    seen: list[int] = []
    exchange = Exchange("e", "topic", arguments={"alternate-exchange": "lost"})
    lost = Exchange("lost", "headers")
    queues = {f"q{n}": Queue(f"q{n}", arguments={"x-message-ttl": n + 1}) for n in range(60)}
    topology = Topology(
        "many",
        exchanges={"e": exchange, "lost": lost},
        queues=queues,
        bindings=(
            *(Binding(exchange, it, f"{name}.#") for name, it in queues.items()),
            Binding(lost, queues["q0"], "", {"x-match": "all", "size": 1}),
        ),
    )
    apply(topology, broker, on_step=lambda _phase, done, _total: seen.append(done))
    assert not plan(topology, broker).steps
    assert len(bindings(broker)) == 61
    assert seen[0] == min(size, 62)  # that it is owned comes first, of each thing
    assert seen == sorted(seen)
    assert seen[-1] == 62 + 62 + 61
    assert len(plan(Topology("many"), broker).steps) > 120


def many_queues() -> Topology:
    exchange, queues = Exchange("e", "topic"), {f"q{n}": Queue(f"q{n}") for n in range(60)}
    bindings = tuple(Binding(exchange, it, f"{name}.#") for name, it in queues.items())
    return Topology("many", exchanges={"e": exchange}, queues=queues, bindings=bindings)


@pytest.mark.parametrize("limits", [{"max-channels": 4}, {"max-connections": 1}])
def test_where_there_may_not_be_many_channels_things_are_created_one_by_one(
    broker: Broker, limits: dict[str, int]
) -> None:
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    broker.node.api("PUT", "/users/few", {"password": "secret", "tags": "management"})
    broker.node.api("PUT", f"/permissions/{broker.vhost}/few", everything)
    broker.node.ctl("set_user_limits", "few", json.dumps(limits))
    seen: list[int] = []
    with session(broker, "few", "secret") as opened_:
        made = plan_for(many_queues(), opened_)
        done = execute(made, opened_, lambda _phase, done, _total: seen.append(done))
    assert not done.differs
    assert seen == [*range(1, len(made.pending) + 1)]


def test_what_is_refused_of_many_things_is_named(broker: Broker) -> None:
    permissions = {"configure": "^(routewright|e|q[^3]|q3[^3])", "write": ".*", "read": ".*"}
    broker.node.api("PUT", "/users/all-but-one", {"password": "secret", "tags": "management"})
    broker.node.api("PUT", f"/permissions/{broker.vhost}/all-but-one", permissions)
    with session(broker, "all-but-one", "secret") as opened_:
        made = plan_for(many_queues(), opened_)
        with pytest.raises(PermissionRefused, match=r"for queue `q3`.*planning again goes on"):
            execute(made, opened_)
    assert not bindings(broker)
    apply(many_queues(), broker)
    assert not plan(many_queues(), broker).steps


def test_bindings_are_seen_alike_in_one_list_and_by_exchange(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, topology = random_pair(3)
    apply(topology, broker)
    with Connection(broker.url) as connection:
        channel = connection.channel()
        channel.exchange_declare("a/b c", "topic", durable=True, auto_delete=False)
        channel.exchange_bind("a/b c", "amq.topic", "k", arguments={"n": 1})
    with session(broker) as opened_:
        assert opened_.api
        before = look(opened_.api)
        monkeypatch.setattr(live, "_MANY_QUEUES", 0)
        now = look(opened_.api)
    assert len(now.topology.bindings) > 1
    assert {it.identity for it in now.topology.bindings} == {
        it.identity for it in before.topology.bindings
    }
    assert now.owned == before.owned


def test_what_others_have_on_the_virtual_host_is_never_touched(broker: Broker) -> None:
    with Connection(broker.url) as connection:
        channel = connection.channel()
        channel.exchange_declare("theirs", "topic", durable=True, auto_delete=False)
        channel.queue_declare("their-queue", durable=True, auto_delete=False)
        apply(one_queue(), broker)
        channel.queue_bind("their-queue", "theirs", "a")
        channel.queue_bind("their-queue", "e", "k.x")
        channel.queue_bind("q", "theirs", "b")
    theirs = {("theirs", "their-queue", "a"), ("e", "their-queue", "k.x"), ("theirs", "q", "b")}
    assert not plan(one_queue(), broker).steps
    apply(Topology("t", exchanges={"e": Exchange("e", "topic")}, queues={"q": Queue("q")}), broker)
    assert bindings(broker) == theirs
    done = apply(Topology("t"), broker)
    assert done.plan.in_use == (
        "exchange `e` stays: queue `their-queue`, which is not owned, is bound to it",
    )
    assert {"their-queue"} == names(broker)
    assert ("e", "their-queue", "k.x") in bindings(broker)


def test_a_binding_between_owned_things_that_nobody_declared_is_drift(broker: Broker) -> None:
    apply(one_queue(), broker)
    with Connection(broker.url) as connection:
        connection.channel().queue_bind("q", "e", "by.hand")
    found = plan(one_queue(), broker)
    assert [str(it.change) for it in found.steps] == [
        "binding of queue `q` to exchange `e` with key `by.hand`"
    ]
    apply(one_queue(), broker)
    assert bindings(broker) == {("e", "q", "k.#")}


def test_what_is_there_already_is_owned_only_when_adopted(broker: Broker) -> None:
    with Connection(broker.url) as connection:
        connection.channel().queue_declare("q", durable=True, auto_delete=False)
    apply(one_queue(), broker)
    told = plan(one_queue(), broker)
    assert any("not owned, and therefore never removed: queue `q`" in it for it in told.notes)
    assert apply(Topology("t"), broker).plan.in_use  # the queue keeps the exchange
    assert "q" in names(broker)
    apply(one_queue(), broker, adopt=True)
    assert not plan(one_queue(), broker).notes
    apply(Topology("t"), broker)
    assert names(broker) == set()


def test_what_two_topologies_own_goes_with_the_second(broker: Broker) -> None:
    apply(one_queue(), broker)
    other = Topology("other", queues={"q": Queue("q")})
    apply(other, broker, adopt=True)
    apply(Topology("t"), broker)
    assert "q" in names(broker)
    apply(Topology("other"), broker)
    assert names(broker) == set()


def test_marks_survive_a_restart(fragile_broker: Broker) -> None:
    node = fragile_broker.node
    with session(fragile_broker) as first:
        deploy(one_queue(), first)
    node.stop()
    node.start()
    with session(fragile_broker) as second:
        found = plan_for(Topology("t"), second)
        assert {"remove-queue", "remove-exchange"} <= {*found.codes}
    assert bindings(fragile_broker) == {("e", "q", "k.#")}


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_a_queue_with_messages_is_not_removed(broker: Broker, kind: str) -> None:
    topology = one_queue(**({"x-queue-type": "quorum"} if kind == "quorum" else {}))
    apply(topology, broker)
    with Connection(broker.url, transport_options={"confirm_publish": True}) as connection:
        connection.Producer().publish("x", exchange="e", routing_key="k")
        with pytest.raises(StillInUse, match="queue `q` stays"):
            apply(Topology("t"), broker)
        assert connection.channel().basic_get("q", no_ack=True).body == "x"
    apply(Topology("t"), broker)
    assert names(broker) == set()


def test_a_queue_with_a_consumer_is_not_removed(broker: Broker) -> None:
    apply(one_queue(), broker)
    with Connection(broker.url) as connection:
        connection.channel().basic_consume("q", callback=lambda _: None)
        with pytest.raises(StillInUse, match="queue `q` stays: it has 0 messages and 1 consumers"):
            apply(Topology("t"), broker)
    assert names(broker) == {"q"}


def test_a_policy_is_created_changed_in_place_and_removed(broker: Broker) -> None:
    def limited(length: int) -> Topology:
        policy = Policy("limits", "^q$", {"max-length": length}, 1, "queues")
        it = one_queue()
        return Topology(
            "t",
            "rabbitmq-3.x",
            None,
            it.exchanges,
            it.queues,
            it.bindings,
            policies={"limits": policy},
        )

    def there() -> list[int]:
        found = broker.node.api("GET", f"/policies/{broker.vhost}")
        return [it["definition"]["max-length"] for it in found]

    apply(limited(10), broker)
    assert there() == [10]
    assert not plan(limited(10), broker).steps
    assert plan(limited(20), broker).codes == ()
    assert plan(limited(5), broker).codes == ("drop-messages",)
    apply(limited(20), broker)
    assert there() == [20]
    assert plan(one_queue(), broker).codes == ("remove-policy",)
    apply(one_queue(), broker)
    assert there() == []


def test_an_operators_policy_counts_among_the_arguments(broker: Broker) -> None:
    apply(one_queue("q", **{"x-max-length": 50}), broker)
    limits = {"pattern": "^q", "definition": {"max-length": 5}, "apply-to": "queues"}
    broker.node.api("PUT", f"/operator-policies/{broker.vhost}/limits", limits)
    with session(broker) as opened_:
        assert opened_.api
        found = look(opened_.api).topology.queues["q"]
    assert found.effective["x-max-length"] == 5
    exported = json.dumps(broker.node.api("GET", "/definitions"))
    in_file = read_definitions("exported.json", exported.encode(), broker.vhost)
    assert in_file.queues["q"].effective["x-max-length"] == 5


def test_a_binding_with_numbers_is_removed_whoever_made_it(broker: Broker) -> None:
    headers, queue = PREDECLARED["amq.headers"], Queue("q")
    with_number = Topology(
        "t",
        queues={"q": queue},
        bindings=(Binding(headers, queue, "", {"x-match": "all", "size": 7}),),
    )
    apply(with_number, broker)
    arguments = {"x-match": "all", "size": 8}
    broker.node.api(
        "POST",
        f"/bindings/{broker.vhost}/e/amq.headers/q/q",
        {"routing_key": "", "arguments": arguments},
    )
    assert len(plan(with_number, broker).steps) == 1
    apply(with_number, broker)
    assert [it["arguments"] for it in broker.bindings() if it["source"] == "amq.headers"] == [
        {"x-match": "all", "size": 7}
    ]
    apply(Topology("t", queues={"q": queue}), broker)
    assert bindings(broker) == set()


def test_a_plan_from_a_file_does_what_the_plan_does(broker: Broker) -> None:
    old, new = random_pair(4)
    apply(old, broker)
    text = to_json(plan(new, broker))
    assert "guest" not in text
    with session(broker) as opened_:
        assert not execute(from_json("plan.json", text.encode()), opened_).differs
    assert not plan(new, broker).steps


def test_a_plan_is_for_the_broker_it_was_made_for(broker: Broker) -> None:
    apply(one_queue(), broker)
    made = plan(Topology("t"), broker)
    with Connection(broker.url) as connection:
        connection.channel().queue_bind("q", "e", "another")
    with session(broker) as opened_, pytest.raises(Outdated, match="make a new plan"):
        execute(made, opened_)
    assert names(broker) == {"q"}


def test_a_plan_is_outdated_once_another_topology_owns_what_it_removes(broker: Broker) -> None:
    apply(one_queue(), broker)
    made = plan(Topology("t"), broker)
    apply(Topology("other", queues={"q": Queue("q")}), broker, adopt=True)
    with session(broker) as opened_, pytest.raises(Outdated):
        execute(made, opened_)
    assert names(broker) == {"q"}


def test_what_others_do_elsewhere_does_not_make_a_plan_outdated(broker: Broker) -> None:
    made = plan(one_queue(), broker)
    with Connection(broker.url) as connection:
        connection.channel().queue_declare("unrelated")
        with session(broker) as opened_:
            assert not execute(made, opened_).differs


def test_of_two_applies_at_once_the_second_fails_by_name(broker: Broker) -> None:
    made = plan(one_queue(), broker)
    with session(broker) as first, session(broker) as second:
        first.lock("t")
        with pytest.raises(Busy, match="another apply of `t` is at work"):
            execute(made, second)
    assert names(broker) == set()
    apply(one_queue(), broker)  # the lock went with its connection


def test_applies_of_two_topologies_at_once_are_not_proved_together(broker: Broker) -> None:
    made = plan(one_queue(), broker)
    with session(broker) as first, session(broker) as second:
        first.lock("other")
        with pytest.raises(Busy, match=r"an apply of another topology .* nothing was changed"):
            execute(made, second)
        first.unlock("other")
    apply(one_queue(), broker)


@pytest.mark.parametrize("name", ["q" * 249, "q" * 255, "ü" * 127])
def test_of_the_longest_names_it_is_known_who_owns_them(broker: Broker, name: str) -> None:
    longest = Topology(
        "long", exchanges={name: Exchange(name, "topic")}, queues={name: Queue(name)}
    )
    apply(longest, broker)
    assert not plan(longest, broker).steps
    assert not plan(longest, broker).notes
    apply(Topology("long"), broker)
    assert names(broker) == set()
    with session(broker) as opened_:
        assert opened_.api
        assert look(opened_.api).owned_by("long").names == frozenset()


def test_policies_of_others_are_read_as_the_broker_does(broker: Broker) -> None:
    classes = {"pattern": "^[[:alpha:]]$", "definition": {"max-length": 7}, "apply-to": "queues"}
    broker.node.api("PUT", f"/policies/{broker.vhost}/theirs", classes)
    apply(one_queue(), broker)
    with session(broker) as opened_:
        assert opened_.api
        assert look(opened_.api).topology.queues["q"].effective["x-max-length"] == 7
    broker.node.api("PUT", f"/policies/{broker.vhost}/theirs", {**classes, "pattern": "\\Aq\\Z"})
    with pytest.raises(Unsupported, match=r"has a policy that cannot be judged: `\\Z` means"):
        plan(one_queue(), broker)


@pytest.mark.parametrize("after", range(0, 21, 2))
def test_an_apply_that_is_cut_off_is_finished_by_the_next(broker: Broker, after: int) -> None:
    e, a, b = Exchange("e", "topic"), Queue("a"), Queue("b")
    old = Topology("t", exchanges={"e": e}, queues={"a": a, "b": b}, bindings=(Binding(e, a, "#"),))
    new = Topology("t", exchanges={"e": e}, queues={"a": a, "b": b}, bindings=(Binding(e, b, "#"),))
    apply(old, broker)

    def cut(_phase: str, done: int, _total: int) -> None:
        if done == after:
            broker.node.close_connections(broker.vhost)

    with session(broker) as opened_:
        made = plan_for(new, opened_)
        assert len(made.pending) == 19
        if 0 < after < len(made.pending):
            with pytest.raises(ConnectionLost, match=rf"; {after} of 19 steps were done"):
                execute(made, opened_, cut)
    with session(broker) as opened_:
        assert opened_.api
        reached = Routing(look(opened_.api).topology).route("e", "k").queues
        assert reached in (("a",), ("b",))
    apply(new, broker)
    assert bindings(broker) == {("e", "b", "#")}
    assert not plan(new, broker).steps


def refused(broker: Broker, user: str, permissions: dict[str, str], tags: str) -> BrokerError:
    broker.node.api("PUT", f"/users/{user}", {"password": "secret", "tags": tags})
    broker.node.api("PUT", f"/permissions/{broker.vhost}/{user}", permissions)
    with pytest.raises(BrokerError) as caught, session(broker, user, "secret") as opened_:
        deploy(one_queue(), opened_)
    line = str(caught.value)
    assert "\n" not in line
    assert "secret" not in line
    return caught.value


def test_a_management_api_that_goes_away_half_way_is_said_with_what_was_done(
    fragile_broker: Broker,
) -> None:
    node = fragile_broker.node
    it = one_queue()
    limits = {"limits": Policy("limits", "^q$", {"alternate-exchange": "e"}, 1, "all")}
    wanted = Topology(
        "t", "rabbitmq-3.x", None, it.exchanges, it.queues, it.bindings, policies=limits
    )
    with session(fragile_broker) as opened_:
        made = plan_for(wanted, opened_)

        def stop(_phase: str, done: int, _total: int) -> None:
            if done == len(made.pending) - 1:
                node.evaluate("application:stop(rabbitmq_management)")

        try:
            with pytest.raises(BrokerError, match=r"the management API at .* of 7 steps were done"):
                execute(made, opened_, stop)
        finally:
            node.evaluate("application:ensure_all_started(rabbitmq_management)")


class TestTheBrokerSaysNo:
    def test_without_permission_to_configure_nothing_is_done(self, broker: Broker) -> None:
        permissions = {"configure": "^$", "write": ".*", "read": ".*"}
        error = refused(broker, "planreader", permissions, "management")
        assert isinstance(error, PermissionRefused)
        assert "lock" in str(error)
        assert names(broker) == set()

    def test_without_permission_half_way_says_how_far_it_got(self, broker: Broker) -> None:
        permissions = {"configure": "^(routewright|e$)", "write": ".*", "read": ".*"}
        error = refused(broker, "planhalf", permissions, "management")
        assert isinstance(error, PermissionRefused)
        assert str(error).startswith("no permission for queue `q`")
        assert "3 of 5 steps were done" in str(error)
        apply(one_queue(), broker)
        assert not plan(one_queue(), broker).steps

    def test_a_user_whom_the_management_api_does_not_let_in(self, broker: Broker) -> None:
        permissions = {"configure": ".*", "write": ".*", "read": ".*"}
        error = refused(broker, "planplain", permissions, "")
        assert isinstance(error, (PermissionRefused, CredentialsRefused))
        assert "planplain" in str(error)

    def test_a_user_who_is_no_administrator_creates_many_things(self, broker: Broker) -> None:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        broker.node.api("PUT", "/users/planner", {"password": "secret", "tags": "management"})
        broker.node.api("PUT", f"/permissions/{broker.vhost}/planner", everything)
        many = Topology("many", queues={f"q{n}": Queue(f"q{n}") for n in range(40)})
        with session(broker, "planner", "secret") as opened_:
            assert not deploy(many, opened_).differs
        assert not plan(many, broker).steps

    def test_a_user_who_may_set_no_policy_is_told_before_anything_is_changed(
        self, broker: Broker
    ) -> None:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        broker.node.api("PUT", "/users/planpolicy", {"password": "secret", "tags": "management"})
        broker.node.api("PUT", f"/permissions/{broker.vhost}/planpolicy", everything)
        policies = {"p": Policy("p", "^q$", {"max-length": 5}, 1, "queues")}
        limited = Topology("limited", queues={"q": Queue("q")}, policies=policies)
        with session(broker, "planpolicy", "secret") as opened_:
            made = plan_for(limited, opened_)
            with pytest.raises(PermissionRefused, match=r"nothing was changed.*policymaker"):
                execute(made, opened_)
        assert names(broker) == set()

    def test_a_wrong_password_for_the_management_api(self, broker: Broker) -> None:
        url = broker.node.management_url.replace("://", "://guest:secret@")
        with pytest.raises(CredentialsRefused) as caught, open_session(broker.url, 10, url):
            pass
        assert "refuses user `guest` or the password" in str(caught.value)
        assert "secret" not in str(caught.value)

    def test_a_management_api_that_is_off_is_an_error_where_it_was_given(
        self, broker: Broker
    ) -> None:
        said = r"management API at http://127.0.0.1:1 cannot"
        with (
            pytest.raises(Unreachable, match=said),
            open_session(broker.url, 10, "http://127.0.0.1:1"),
        ):
            pass

    def test_something_else_at_its_address(self, broker: Broker) -> None:
        url = f"http://127.0.0.1:{broker.node.port}"
        with (
            pytest.raises(BrokerError, match="the management API at"),
            open_session(broker.url, 3, url),
        ):
            pass

    def test_the_management_api_of_another_broker(
        self, broker: Broker, fragile_broker: Broker
    ) -> None:
        other = fragile_broker.node
        other.ctl("set_cluster_name", "another")
        with (
            pytest.raises(NotABroker, match="that of another broker"),
            open_session(broker.url, 10, other.management_url),
        ):
            pass


def test_without_the_management_api_it_is_said_what_cannot_be_seen(broker: Broker) -> None:
    with open_session(broker.url, 10) as opened_:
        assert opened_.api is None  # a port of its own has no neighbour to be guessed
        found = plan_for(one_queue(), opened_)
    assert any("bindings, policies, message counts" in it for it in found.notes)
    assert not any("mark" in str(it.change) for it in found.steps)
    assert len(found.steps) == 3
