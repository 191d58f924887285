"""An exchange is made anew under its own name, and what is published to it goes on meanwhile."""

import threading
from collections import Counter
from typing import Self

import amqp
import pytest
from deploying import apply, apply_killed_once, session
from kombu.connection import Connection
from private_nodes import Broker, until

from routewright.compiler import compile_text
from routewright.compiler.broker.errors import PermissionRefused
from routewright.compiler.executor.deploy import execute, plan_for
from routewright.compiler.model.topology import Topology
from routewright.compiler.plan.file import from_json, to_json
from routewright.compiler.plan.text import as_text

pytestmark = pytest.mark.broker

TEXT = """
topology: t
exchanges: {e: {type: %s%s}%s}
queues: {a: {exchange: e, binding_key: "%s"}, b: {exchange: e, binding_key: b}%s}
"""


def topology(kind: str, key: str = "a.x", *, alternate: str | None = None) -> Topology:
    rest = ("", "", "")
    if alternate:
        rest = (
            f", alternate_exchange: {alternate}",
            f", {alternate}: {{type: fanout}}",
            f", other: {{exchange: {alternate}}}",
        )
    found = compile_text(TEXT % (kind, rest[0], rest[1], key, rest[2]))
    assert found.topology is not None, [str(it) for it in found.diagnostics]
    return found.topology


class Publisher:
    """Publishes with confirms as fast as it can, and again what the broker answers with 404."""

    def __init__(self, broker: Broker) -> None:
        self._url = broker.url
        self._stop = threading.Event()
        self.confirmed: list[str] = []
        self.refused = 0
        self.returned: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: len(self.confirmed) > 50)
        return self

    def __exit__(self, *exc: object) -> None:
        count = len(self.confirmed)
        until(lambda: len(self.confirmed) > count + 50)
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with Connection(self._url, transport_options={"confirm_publish": True}) as connection:
            number, amqp_connection = 0, connection.connection
            assert amqp_connection is not None
            while not self._stop.is_set():
                channel = amqp_connection.channel()
                channel.events["basic_return"].add(lambda *it: self.returned.append(str(it[2:4])))
                try:
                    while not self._stop.is_set():
                        message = amqp.Message(f"m{number}", message_id=f"m{number}")
                        key = ("a.x", "b")[number % 2]
                        channel.basic_publish(message, "e", key, mandatory=True)
                        self.confirmed.append(f"m{number}")
                        number += 1
                except amqp.exceptions.NotFound:
                    self.refused += 1


def taken(broker: Broker, *queues: str) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    with Connection(broker.url) as connection:
        channel = connection.channel()
        for queue in queues:
            got: Counter[str] = Counter()
            while message := channel.basic_get(queue, no_ack=True):
                got[message.properties["message_id"]] += 1
            found[queue] = got
    return found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (topology("topic", "a.#"), topology("direct")),
        (topology("direct"), topology("topic", "a.#")),
        (topology("topic", "a.#"), topology("topic", "a.*", alternate="rest")),
        (topology("direct", alternate="rest"), topology("topic", "*.x")),
    ],
)
def test_all_that_is_confirmed_meanwhile_arrives_once(
    broker: Broker, old: Topology, new: Topology
) -> None:
    apply(old, broker)
    with Publisher(broker) as publisher:
        apply(new, broker)
    with session(broker) as opened_:
        plan = plan_for(new, opened_)
        assert not [it for it in plan.steps if "routewright" in str(it.change)]
    assert not publisher.returned
    got = taken(broker, "a", "b")
    expected = set(publisher.confirmed)
    assert expected <= got["a"].keys() | got["b"].keys()
    assert max([*got["a"].values(), *got["b"].values()]) == 1
    assert not got["a"].keys() & got["b"].keys()


def test_what_others_have_bound_is_bound_again(broker: Broker) -> None:
    apply(topology("topic", "a.#"), broker)
    with Connection(broker.url) as connection:
        channel = connection.channel()
        channel.queue_declare("theirs", durable=True, auto_delete=False)
        channel.queue_bind("theirs", "e", "b")
    before = [it for it in broker.bindings() if "theirs" in str(it)]
    apply(topology("direct"), broker)
    assert [it for it in broker.bindings() if "theirs" in str(it)] == before


def test_an_exclusive_queue_on_it_stands_against_it_and_is_named(broker: Broker) -> None:
    apply(topology("topic", "a.#"), broker)
    with Connection(broker.url) as connection:
        channel = connection.channel()
        channel.queue_declare("tap", exclusive=True)
        channel.queue_bind("tap", "e", "#")
        before = broker.bindings()
        with session(broker) as opened_:
            plan = plan_for(topology("direct"), opened_)
            assert [str(it.change) for it in plan.replacements] == ["exchange `e`"]
            assert "`tap`, which is bound to it, is the exclusive queue" in as_text(plan)
            execute(plan, opened_)
        assert broker.bindings() == before
    apply(topology("direct"), broker)


def test_it_needs_leave_by_its_code_and_goes_through_a_file(broker: Broker) -> None:
    apply(topology("direct"), broker)
    new = topology("topic", "a.#")
    with session(broker) as opened_:
        plan = plan_for(new, opened_)
        assert plan.codes == ("replace-exchange",)
        without = plan_for(new, opened_, allowed=())
        assert [it.code for it in without.held] == ["replace-exchange"]
        again = from_json("plan.json", to_json(plan).encode())
        assert not execute(again, opened_).differs
        assert not plan_for(new, opened_).steps


def test_killed_after_any_step_it_is_finished_by_the_same_command(broker: Broker) -> None:
    kinds = [topology("topic", "a.#"), topology("direct")]
    apply(kinds[0], broker)
    with session(broker) as opened_:
        steps = len(plan_for(kinds[1], opened_).pending)
    assert steps > 20
    with Publisher(broker) as publisher:
        for killed_after in range(1, steps, 3):  # after each of them, in bench/plans_under_load.py
            apply_killed_once(kinds[killed_after % 2], broker, killed_after.__eq__)
    assert not publisher.returned
    got = taken(broker, "a", "b")
    assert set(publisher.confirmed) <= got["a"].keys() | got["b"].keys()
    assert max([*got["a"].values(), *got["b"].values()]) == 1


def test_an_exchange_that_another_one_falls_back_on_says_which_keys_go_wrong(
    broker: Broker,
) -> None:
    text = """
topology: t
exchanges: {e: {type: direct, alternate_exchange: rest}, rest: {type: %s}}
queues: {a: {exchange: e, binding_key: a}, b: {exchange: rest%s}}
"""
    kinds = [text % ("fanout", ""), text % ("topic", ', binding_key: "#"')]
    found = [compile_text(it).topology for it in kinds]
    assert found[0] is not None
    assert found[1] is not None
    apply(found[0], broker)
    with session(broker) as opened_:
        plan = plan_for(found[1], opened_)
    assert [(it.harm, it.exchange) for it in plan.violations] == [("unroutable", "e")]


def test_what_the_broker_would_not_take_is_said_before_the_old_exchange_goes(
    broker: Broker,
) -> None:
    apply(topology("direct"), broker)
    before = broker.bindings()
    permissions = {"configure": ".*", "write": "^(?!secret)", "read": ".*"}
    broker.node.api("PUT", "/users/lifter", {"password": "secret", "tags": "policymaker"})
    broker.node.api("PUT", f"/permissions/{broker.vhost}/lifter", permissions)
    with session(broker, "lifter", "secret") as opened_:
        plan = plan_for(topology("topic", alternate="secret"), opened_)
        with pytest.raises(PermissionRefused, match=r"exchange `e`: .*secret.*nothing was changed"):
            execute(plan, opened_)
    assert broker.bindings() == before
