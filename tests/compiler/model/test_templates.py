"""Routing keys with placeholders are proved for every value, and filled in by each call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from deploying import declared_router
from kombu.connection import Connection
from private_nodes import Broker

from routewright.compiler import compile_text
from routewright.runtime import App, InvalidParameter
from routewright.runtime.router.route import Route

SHOP = """
topology: shop
defaults: {exchange: orders}
exchanges: {orders: {type: topic}}
queues:
  eu: {exchange: orders, binding_key: "orders.eu.#"}
  us: {exchange: orders, binding_key: "orders.us.#"}
  any: {exchange: orders, binding_key: "mail.*"}
  tasks: {exchange: orders, binding_key: "shop.#"}
tasks:
  shop.Create: {routing_key: "orders.{region}.created", parameters: {region: [eu, us]}}
  shop.Mail: {routing_key: "mail.{user}"}
  shop.Audit: {routing_key: "{task}"}
"""


def route(name: str, text: str = SHOP) -> Route:
    compilation = compile_text(text)
    assert compilation.diagnostics == ()
    names: dict[str, object] = {}
    router = compilation.files["router.py"].replace("from .names import TaskName", "TaskName = str")
    exec(compile(router, "router.py", "exec"), names)
    found: Route = names["router"].resolve(name)  # type: ignore[attr-defined]
    return found


def test_listed_values_are_each_compiled_to_their_queue() -> None:
    create = route("shop.Create")
    assert create.queues == ("eu", "us")
    filled = create.filled({"region": "eu", "other": 1})
    assert (filled.routing_key, filled.queues) == ("orders.eu.created", ("eu",))


def test_an_open_placeholder_takes_any_plain_word() -> None:
    assert route("shop.Mail").filled({"user": "ann"}).routing_key == "mail.ann"


def test_the_tasks_own_name_is_filled_in_by_the_compiler() -> None:
    audit = route("shop.Audit")
    assert (audit.routing_key, audit.queues) == ("shop.Audit", ("tasks",))
    assert audit.filled({}) is audit


@pytest.mark.parametrize(
    ("task", "kwargs", "said"),
    [
        ("shop.Create", {}, "wants the keyword argument `region`"),
        ("shop.Create", {"region": 1}, "of type int"),
        ("shop.Create", {"region": "asia"}, "compiled for eu, us"),
        ("shop.Mail", {"user": "a.b"}, "no word of a routing key"),
        ("shop.Mail", {"user": "#"}, "no word of a routing key"),
        ("shop.Mail", {"user": ""}, "no word of a routing key"),
        ("shop.Mail", {"user": "a" * 251}, "256 bytes"),
    ],
)
def test_what_is_no_word_is_an_error_of_the_call(
    task: str, kwargs: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidParameter, match=said):
        route(task).filled(kwargs)


@pytest.mark.parametrize(
    ("change", "code", "witness"),
    [
        (("[eu, us]", "[eu, us, asia]"), "unroutable-task", "orders.asia.created"),
        ((", parameters: {region: [eu, us]}", ""), "unroutable-task", "orders.x.created"),
        (("mail.*", "*.*.created"), "task-delivered-more-than-once", "orders.eu.created"),
        (("shop.#", "mail.#"), "task-delivered-more-than-once", "mail.x"),
    ],
)
def test_every_value_is_checked_and_the_one_that_fails_is_shown(
    change: tuple[str, str], code: str, witness: str
) -> None:
    found = compile_text(SHOP.replace(*change)).diagnostics
    assert (code, witness) in {(it.code, it.witness) for it in found}


@pytest.mark.broker
def test_a_call_is_sent_by_its_own_arguments(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with App(declared_router(SHOP, broker, tmp_path, monkeypatch), broker.url) as app:
        for region in ("eu", "us", "us"):
            app.send_task("shop.Create", kwargs={"region": region}, ignore_result=True)
        with pytest.raises(InvalidParameter):
            app.send_task("shop.Create", kwargs={"region": "asia"})
    with Connection(broker.url) as connection:
        counts = {
            queue: connection.default_channel.queue_declare(queue, passive=True).message_count
            for queue in ("eu", "us")
        }
    assert counts == {"eu": 1, "us": 2}


def test_explain_shows_each_way_of_a_task() -> None:
    from routewright.compiler.analysis import explain  # noqa: PLC0415

    compilation = compile_text(SHOP)
    assert compilation.topology
    ways = explain.explain_task(
        compilation.topology, compilation.routing, compilation.topology.tasks["shop.Create"]
    )
    told = json.loads(explain.as_json(ways, compilation.topology))
    assert told["queues"] == ["eu"]
    assert [(way["routing_key"], way["queues"]) for way in told["ways"]] == [
        ("orders.eu.created", ["eu"]),
        ("orders.us.created", ["us"]),
    ]


VARYING = """
topology: varying
defaults: {exchange: mail}
exchanges: {mail: {type: topic}}
queues:
  ann: {exchange: mail, binding_key: "mail.ann"}
  bob: {exchange: mail, binding_key: "mail.bob"}
tasks:
  shop.Mail: {routing_key: "mail.{user}", parameters: {user: [ann, bob]}}
"""


def test_without_a_broker_to_decide_a_queue_it_must_be_listed() -> None:
    compilation = compile_text(
        VARYING.replace(", parameters: {user: [ann, bob]}", "").replace(
            "topology:", "target: memory\ntopology:"
        )
    )
    codes = {found.code for found in compilation.diagnostics}
    assert codes == {"unsupported-by-target", "unroutable-task"}


def test_in_memory_a_call_reaches_the_queue_of_its_own_key_alone() -> None:
    names: dict[str, Any] = {}
    text = compile_text(VARYING).files["router.py"]
    exec(text.replace("from .names import TaskName", "TaskName = str"), names)
    with App(names["router"], "memory://") as app:
        app.send_task("shop.Mail", kwargs={"user": "bob"}, ignore_result=True)
        with app.broker.connect() as connection:
            channel: Any = connection.default_channel
            assert channel.basic_get("bob", no_ack=True) is not None
            assert channel.basic_get("ann", no_ack=True) is None
