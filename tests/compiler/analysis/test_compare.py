"""`diff`: what it calls equivalent is, and every difference it shows is one."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from random_topologies import random_message, random_topology
from seeds import numbers

from routewright.compiler.analysis.compare import compare
from routewright.compiler.cli import main
from routewright.compiler.keys.patterns import has_wildcard
from routewright.compiler.model.topology import Binding, Exchange, Topology
from routewright.compiler.routing.routing import Routing


@pytest.mark.parametrize("seed", numbers(30, 150))
def test_a_difference_is_confirmed_and_equivalence_holds_for_random_messages(seed: int) -> None:
    randomly = random.Random(seed)
    old = random_topology(randomly, "t")
    kept = [it for it in old.bindings if randomly.random() < 0.8]
    new = replace(old, bindings=tuple(kept))
    before, after = Routing(old), Routing(new)
    comparison = compare(old, new)
    assert not comparison.undecided
    for found in comparison.differences:
        message = found.exchange, found.witness, found.headers
        assert before.route(*message).queues == found.before != found.after
        assert after.route(*message).queues == found.after
    told = {(found.exchange, found.before, found.after) for found in comparison.differences}
    for _ in range(100):
        message = random_message(randomly, old)
        was, now = before.route(*message).queues, after.route(*message).queues
        assert was == now or (message[0], was, now) in told


@pytest.mark.parametrize("seed", numbers(40, 200))
def test_a_refactoring_that_keeps_the_routing_is_proved_equivalent(seed: int) -> None:
    randomly = random.Random(seed)
    old = random_topology(randomly, "t")
    new = old
    for refactoring in randomly.sample(REFACTORINGS, 3):
        new = refactoring(new, randomly)
    assert compare(old, new).equivalent
    assert compare(new, old).equivalent


def reordered(topology: Topology, randomly: random.Random) -> Topology:
    bindings = list(topology.bindings)
    randomly.shuffle(bindings)
    return replace(topology, bindings=tuple(bindings))


def made_redundant(topology: Topology, _randomly: random.Random) -> Topology:
    """A narrower binding beside each one with a wildcard."""
    more = [
        replace(it, key=it.key.replace("#", "b.b").replace("*", "a"))
        for it in topology.bindings
        if it.source.type == "topic" and has_wildcard(it.key)
    ]
    known = {it.identity: it for it in (*topology.bindings, *more)}
    return replace(topology, bindings=tuple(known.values()))


def split(topology: Topology, _randomly: random.Random) -> Topology:
    """`x.#` becomes `x` and `x.*.#`."""
    bindings: dict[object, Binding] = {}
    for binding in topology.bindings:
        parts = [binding]
        if binding.source.type == "topic" and binding.key.endswith(".#"):
            stem = binding.key.removesuffix(".#")
            if stem:  # an empty word alone cannot be written
                parts = [replace(binding, key=stem), replace(binding, key=f"{stem}.*.#")]
        bindings.update({part.identity: part for part in parts})
    return replace(topology, bindings=tuple(bindings.values()))


def through_another_exchange(topology: Topology, _randomly: random.Random) -> Topology:
    """The queue of the last binding is reached by way of a fanout exchange of its own."""
    if not topology.bindings or isinstance(topology.bindings[-1].destination, Exchange):
        return topology
    *bindings, last = topology.bindings
    middle = Exchange("middle", "fanout", internal=True)
    bindings += [replace(last, destination=middle), Binding(middle, last.destination)]
    return replace(
        topology, bindings=tuple(bindings), exchanges={**topology.exchanges, "middle": middle}
    )


def renamed(topology: Topology, randomly: random.Random) -> Topology:
    """An exchange that other exchanges lead to has another name."""
    ends = {it.destination.name for it in topology.bindings if isinstance(it.destination, Exchange)}
    if not ends:
        return topology
    old = topology.exchanges[randomly.choice(sorted(ends))]
    new = replace(old, name=f"{old.name}.renamed")

    def as_now(exchange: Exchange) -> Exchange:
        exchange = new if exchange is old else exchange
        if exchange.alternate_exchange != old.name:
            return exchange
        return replace(exchange, arguments={"alternate-exchange": new.name})

    exchanges = {name: as_now(it) for name, it in topology.exchanges.items() if it is not old}
    exchanges[new.name] = as_now(old)
    called = {**exchanges, old.name: exchanges[new.name], **topology.queues}
    bindings = [
        replace(it, source=called[it.source.name], destination=called[it.destination.name])
        for it in topology.bindings
    ]
    return replace(topology, exchanges=exchanges, bindings=tuple(bindings))


REFACTORINGS = [reordered, made_redundant, split, through_another_exchange, renamed]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


OLD = """\
topology: shop
exchanges: {orders: {type: topic}}
queues:
  billing: {exchange: orders, binding_key: "order.#"}
  refunds: {exchange: orders, binding_key: "refund.#"}
tasks: {shop.Charge: {exchange: orders, routing_key: order.created}}
"""


def diff(new: str, *options: str, old: str = OLD) -> Result:
    Path("old.yaml").write_text(old)
    Path("new.yaml").write_text(new)
    return CliRunner().invoke(main, ["diff", "old.yaml", "new.yaml", *options])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("order.#", "order.*"), "lost: `order` on exchange `orders`: `billing` before, no queue"),
        (("refund.#", "#"), "gained: `` on exchange `orders`: no queue before, `refunds` after"),
        (("refund.#", "#"), "doubled: `order` on exchange `orders`: `billing` before, `billing`"),
        (("refund.#", "#"), "    concerns task shop.Charge"),
    ],
)
def test_each_class_of_keys_is_shown_by_its_smallest(change: tuple[str, str], said: str) -> None:
    result = diff(OLD.replace(*change))
    assert result.exit_code == 1
    assert said in result.output


def test_nothing_different_is_said_to_be_proved() -> None:
    result = diff(OLD)
    assert (result.exit_code, result.output) == (
        0,
        "equivalent (proved): every key goes where it went\n",
    )
    assert json.loads(diff(OLD, "--format", "json").output)["equivalent"] is True


DEAD_LETTERS = """\
topology: shop
exchanges:
  orders: {type: topic}
  dead: {type: topic}
queues:
  billing: {exchange: orders, binding_key: "order.#", dead_letter: {exchange: dead}}
  graves: {exchange: dead, binding_key: "order.#"}
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((", dead_letter: {exchange: dead}", ""), "`order`: `graves` before, no queue after"),
        (("dead}", "dead, routing_key: lost}"), "`order`: `graves` before, no queue after"),
        (("dead}", "orders}"), "`order`: `graves` before, `billing` after"),
    ],
)
def test_dead_letters_that_go_elsewhere_are_a_difference(
    change: tuple[str, str], said: str
) -> None:
    new = DEAD_LETTERS.replace(*change, 1)
    result = diff(new, old=DEAD_LETTERS)
    assert result.exit_code == 1
    assert result.output == f"dead letters of queue `billing`: {said}\n"
    found = json.loads(diff(new, "--format", "json", old=DEAD_LETTERS).output)
    assert (found["equivalent"], found["differences"]) == (False, [])
    assert [it["queue"] for it in found["dead_letters"]] == ["billing"]


def test_dead_letters_may_go_by_another_exchange() -> None:
    other = DEAD_LETTERS.replace("dead:", "end:").replace("exchange: dead", "exchange: end")
    assert diff(other, old=DEAD_LETTERS).exit_code == 0


def test_generated_definitions_are_equivalent_to_their_source() -> None:
    Path("topology.yaml").write_text(OLD)
    CliRunner().invoke(main, ["compile"])
    result = CliRunner().invoke(main, ["diff", "shop_routing/definitions.json", "topology.yaml"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("text", ["", "[]", '{"queues": [1]}', "[" * 100_000, '{"bindings": [{}]}'])
def test_a_file_that_is_no_export_is_one_line_and_exit_2(text: str) -> None:
    Path("live.json").write_text(text)
    Path("topology.yaml").write_text(OLD)
    result = CliRunner().invoke(main, ["diff", "live.json", "topology.yaml"])
    assert result.exit_code == 2
    assert "live.json is no file of RabbitMQ definitions" in result.stderr
    assert result.stderr.count("\n") == 1
