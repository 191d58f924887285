"""Plans between topologies, each moment of which is looked at; made without a broker."""

from dataclasses import replace
from itertools import pairwise

import pytest
from plan_states import Examined, examine, examine_changed_mind, examine_killed, naive, owning
from random_changes import random_pair

from routewright.compiler import compile_text
from routewright.compiler.lowering.delay_names import ladder_names
from routewright.compiler.lowering.delays import with_delays
from routewright.compiler.model.topology import Binding, Exchange, Policy, Queue, Topology
from routewright.compiler.plan.changes import Bind, RemoveExchange, Unbind
from routewright.compiler.plan.file import to_json
from routewright.compiler.plan.ownership import Owned
from routewright.compiler.plan.plan import Plan
from routewright.compiler.plan.text import as_text
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.make_plan import make_plan
from routewright.compiler.planner.simulated_host import SimulatedHost, after
from routewright.compiler.routing.routing import Routing


def topology(
    *bindings: tuple[str, str, str],
    type: str = "topic",  # noqa: A002
    alternate: str | None = None,
    policies: dict[str, Policy] | None = None,
) -> Topology:
    """Exchanges are in capitals; each binding is a source, a destination and a key."""
    names = {name for source, end, _ in bindings for name in (source, end)}
    arguments = {"alternate-exchange": alternate} if alternate else {}
    exchanges = {
        name: Exchange(name, type, arguments=arguments if name == "E" else {})
        for name in sorted(names)
        if name.isupper()
    }
    queues = {name: Queue(name) for name in sorted(names) if name.islower()}
    return Topology(
        "t",
        exchanges=exchanges,
        queues=queues,
        bindings=tuple(
            Binding(exchanges[source], exchanges.get(end) or queues[end], key)
            for source, end, key in bindings
        ),
        policies=policies or {},
    )


def states(plan: Plan, old: Topology) -> list[Topology]:
    state, found = SimulatedHost(old), [old]
    for step in plan.pending:
        state.take(step.change)
        found.append(state.topology())
    return found


def ways(plan: Plan, old: Topology, key: str, exchange: str = "E") -> list[tuple[str, ...]]:
    """The queues that a key reaches, from moment to moment, each change of them once."""
    reached = [Routing(it).route(exchange, key).queues for it in states(plan, old)]
    return [reached[0], *(now for before, now in pairwise(reached) if now != before)]


@pytest.mark.parametrize("kind", ["topic", "direct", "fanout"])
def test_a_key_moves_to_another_queue_in_one_step(kind: str) -> None:
    old, new = topology(("E", "a", "k"), type=kind), topology(("E", "b", "k"), type=kind)
    plan = make_plan(new, owning(old))
    assert ways(plan, old, "k") == [("a",), ("b",)]
    assert plan.carried_over == ("E",)
    assert not plan.violations
    assert not any(name.startswith("routewright.") for name in states(plan, old)[-1].exchanges)


def test_a_key_moves_in_one_step_though_two_exchanges_change() -> None:
    old = topology(("E", "F", "#"), ("F", "a", "k"))
    new = topology(("E", "F", "#"), ("E", "b", "k"), ("F", "c", "j"))
    plan = make_plan(new, owning(old))
    assert ways(plan, old, "k") == [("a",), ("b",)]
    assert not plan.violations


def test_a_copy_moves_to_another_queue_in_one_step_beside_a_queue_that_stays() -> None:
    old = topology(("E", "a", "k"), ("E", "tap", "#"), ("E", "b", "j"))
    new = topology(("E", "b", "k"), ("E", "tap", "#"), ("E", "b", "j"))
    plan = make_plan(new, owning(old))
    assert ways(plan, old, "k") == [("a", "tap"), ("b", "tap")]
    assert not plan.violations


def test_dead_letters_into_an_internal_exchange_move_in_one_step() -> None:
    def topology_to(queue: str) -> Topology:
        dead = Exchange("DEAD", "direct", internal=True)
        queues = {it: Queue(it) for it in ("a", "b")}
        queues["q"] = Queue("q", arguments={"x-dead-letter-exchange": "DEAD"})
        binding = Binding(dead, queues[queue], "k")
        return Topology("t", exchanges={"DEAD": dead}, queues=queues, bindings=(binding,))

    old, new = topology_to("a"), topology_to("b")
    plan = make_plan(new, owning(old))
    assert ways(plan, old, "k", "DEAD") == [("a",), ("b",)]
    assert not plan.violations


@pytest.mark.parametrize("alternate", [None, "F"])
def test_an_exclusive_queue_is_in_the_way_only_of_a_copy_that_it_would_be_bound_to(
    alternate: str | None,
) -> None:
    behind = (("F", "rest", ""),) if alternate else ()
    old = topology(("E", "a", "k"), *behind, alternate=alternate)
    new = topology(("E", "b", "k"), *behind, alternate=alternate)
    tap = Queue("tap", durable=False)
    bound = (*old.bindings, Binding(old.exchanges["E"], tap, "#"))
    with_tap = replace(old, queues={**old.queues, "tap": tap}, bindings=bound)
    names = [*(("exchange", it) for it in old.exchanges), ("queue", "a"), ("queue", "rest")]
    owned = {"t": Owned(frozenset(names), marked=True)}  # type: ignore[arg-type]
    plan = make_plan(new, VirtualHost(with_tap, owned, exclusive=frozenset({"tap"})))
    bindings = [it.change.binding for it in plan.pending if isinstance(it.change, Bind)]
    assert "tap" not in {it.destination.name for it in bindings}
    assert bool(plan.violations) == bool(alternate)
    if not alternate:
        assert ways(plan, with_tap, "k") == [("a", "tap"), ("b", "tap")]


def test_what_falls_through_to_an_alternate_exchange_is_never_lost() -> None:
    old = topology(("E", "a", "k"), ("ALT", "b", "#"), alternate="ALT")
    new = topology(("E", "a", "j"), ("ALT", "b", "#"), alternate="ALT")
    plan = make_plan(new, owning(old))
    assert ways(plan, old, "k") == [("a",), ("b",)]
    assert ways(plan, old, "j") == [("b",), ("a",)]
    assert ways(plan, old, "x") == [("b",)]


def test_order_alone_is_enough_where_bindings_overlap() -> None:
    old = topology(("E", "a", "k.#"))
    new = topology(("E", "a", "k.*"), ("E", "a", "k"), ("E", "a", "k.*.#"))
    plan = make_plan(new, owning(old))
    assert not plan.carried_over
    assert ways(plan, old, "k.x") == [("a",)]


def test_a_new_exchange_leads_somewhere_before_anything_leads_to_it() -> None:
    old = topology(("E", "a", "k"))
    new = topology(("E", "INNER", "#"), ("INNER", "a", "k"), ("INNER", "b", "j"))
    plan = make_plan(new, owning(old))
    assert ways(plan, old, "k") == [("a",)]
    assert not plan.carried_over


def test_an_alternate_exchange_comes_by_policy_once_it_leads_somewhere() -> None:
    policy = Policy("p", "^E$", {"alternate-exchange": "ALT"}, apply_to="exchanges")
    old = topology(("E", "a", "k"))
    new = topology(("E", "a", "k"), ("ALT", "b", "#"), policies={"p": policy})
    plan = make_plan(new, owning(old))
    assert ways(plan, old, "x") == [(), ("b",)]
    assert plan.steps[-1].change.__class__.__name__ == "SetPolicy"


def test_an_exchange_of_an_unknown_type_is_said_to_be_undecided() -> None:
    old = topology(("E", "a", "k"), type="x-strange")
    plan = make_plan(topology(("E", "b", "k"), type="x-strange"), owning(old))
    assert plan.undecided == ("E",)
    assert any("nothing is proved of exchange `E`" in it for it in plan.notes)


def test_a_step_that_has_no_harmless_order_is_named_with_a_key() -> None:
    """What chooses among its bindings cannot be copied, nor what it leads to be switched."""
    old = topology(("CHOICE", "E", "1"), ("E", "a", "k"))
    new = topology(("CHOICE", "E", "1"), ("E", "b", "k"))
    for it in (old, new):
        it.exchanges["CHOICE"] = Exchange("CHOICE", "x-consistent-hash")  # type: ignore[index]
    old, new = SimulatedHost(old).topology(), SimulatedHost(new).topology()
    plan = make_plan(new, owning(old))
    assert [(it.harm, it.witness) for it in plan.violations if it.exchange == "E"] == [
        ("doubled", "k")
    ]
    assert "`k` on exchange `E` reaches `a`, `b` for a while: `a` before, `b` after" in as_text(
        plan
    )


@pytest.mark.parametrize("killed_after", range(0, 20, 3))
def test_a_plan_that_was_cut_short_is_finished_by_a_new_one(killed_after: int) -> None:
    old, new = (
        topology(("E", "a", "k"), ("E", "c", "j")),
        topology(("E", "b", "k"), ("E", "c", "j")),
    )
    first = make_plan(new, owning(old))
    state, live = SimulatedHost(old), owning(old)
    for step in first.pending[:killed_after]:
        state.take(step.change)
    left = owning(state.topology())  # everything that is there is marked before it is made
    second = make_plan(new, VirtualHost(state.topology(), left.owned))
    seen = ways(first, old, "k")[:1] + ways(second, state.topology(), "k")
    assert all(it in (("a",), ("b",)) for it in seen)
    assert states(second, state.topology())[-1].exchanges.keys() == {"E"}
    assert not second.violations
    assert live.topology is old


def test_what_is_left_of_an_interrupted_plan_needs_no_leave() -> None:
    old, new = topology(("E", "a", "k")), topology(("E", "b", "k"))
    state = SimulatedHost(old)
    for step in make_plan(new, owning(old)).pending[:9]:
        state.take(step.change)
    plan = make_plan(new, owning(state.topology()))
    removed = [it for it in plan.steps if isinstance(it.change, RemoveExchange)]
    assert removed
    assert {it.code for it in removed} == {None}


@pytest.mark.parametrize("block", range(8))
def test_no_moment_of_a_random_plan_loses_or_doubles_a_key(block: int) -> None:
    examined = Examined()
    for number in range(12):
        examine(7_000 + block * 12 + number, examined)
    assert not examined.wrong
    assert examined.states > 100


@pytest.mark.parametrize("seed", [7_203, 7_224, 7_228, 7_231])  # short, with stand-ins
def test_applies_that_are_killed_after_every_step_come_to_an_end(seed: int) -> None:
    examined = Examined()
    examine_killed(seed, examined)
    assert not examined.wrong
    assert examined.starts > 20


def test_a_changed_mind_between_random_topologies_loses_and_doubles_nothing() -> None:
    examined = Examined()
    for seed in range(7_300, 7_308):
        examine_changed_mind(seed, examined)
    assert not examined.wrong
    assert examined.looked_at > 300


def test_an_exchange_left_out_by_a_killed_apply_says_which_keys_go_wrong_meanwhile() -> None:
    text = """
topology: t
exchanges: {e: {type: %s%s}, rest: {type: fanout}}
queues: {a: {exchange: e%s}, b: {exchange: rest}}
"""
    old = named(compile_text(text % ("fanout", ", alternate_exchange: rest", "")).topology)
    new = named(compile_text(text % ("topic", "", ", binding_key: '#'")).topology)
    steps = [it.change for it in make_plan(new, owning(old)).pending]
    gone = next(at for at, it in enumerate(steps) if isinstance(it, RemoveExchange))
    back = make_plan(old, after(owning(old), steps[: gone + 1], "t"))
    assert [(it.harm, it.exchange) for it in back.violations] == [("doubled", "e")]


def test_a_changed_mind_amid_stand_ins_leaves_nothing_behind() -> None:
    """Killed at any step, and then told to go back, or somewhere else."""
    old = topology(("E", "a", "k"), ("E", "a", "j"), ("E", "b", "m"), ("E", "c", "n"))
    new = topology(("E", "b", "k"), ("E", "b", "j"), ("E", "b", "m"), ("E", "c", "n"))
    other = topology(("E", "c", "k"), ("E", "a", "j"), ("E", "b", "m"), ("E", "c", "n"))
    steps = [it.change for it in make_plan(new, owning(old)).pending]
    for killed_after in range(len(steps)):
        live = after(owning(old), steps[:killed_after], "t")
        for wanted in (old, other):
            plan = make_plan(wanted, live)
            assert not plan.violations
            done = after(live, [it.change for it in plan.pending], "t")
            assert not make_plan(wanted, done).steps
            for key, queues in (("k", {"a", "b", "c"}), ("m", {"b"}), ("n", {"c"})):
                reached = {way for it in states(plan, live.topology) for way in route(it, key)}
                assert reached <= queues
                assert reached


def test_walking_the_keys_that_something_changes_for_finds_what_walking_all_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(5_000_000, 5_000_010):
        old, new = random_pair(seed)
        some = make_plan(new, owning(old))
        with monkeypatch.context() as patched:
            patched.setattr("routewright.compiler.planner.simulate._MANY_PATTERNS", -1)
            every = make_plan(new, owning(old))
        assert to_json(some) == to_json(every)


def route(topology: Topology, key: str) -> tuple[str, ...]:
    (queue,) = Routing(topology).route("E", key).queues
    return (queue,)


@pytest.mark.parametrize(("was", "is_"), [("fanout", "topic"), ("headers", "direct")])
def test_without_leave_an_exchange_of_another_type_keeps_its_bindings(was: str, is_: str) -> None:
    """A fanout would pass on all that comes to a queue that is bound for one key."""
    old = topology(("E", "a", ""), type=was)
    new = topology(("E", "a", "x"), ("E", "b", "y"), type=is_)
    plan = make_plan(new, owning(old), allowed=())
    assert not [it for it in plan.pending if isinstance(it.change, (Bind, Unbind))]
    assert any("keeps its bindings" in it for it in plan.notes)
    assert make_plan(new, owning(old)).codes[-1] == "replace-exchange"


def test_the_examination_sees_what_a_naive_order_loses() -> None:
    examined = Examined()
    for number in range(12):
        naive(7_000 + number, examined)
    assert examined.lost
    assert examined.doubled


def test_a_key_that_goes_nowhere_afterwards_needs_leave() -> None:
    old, new = topology(("E", "a", "k"), ("E", "a", "j")), topology(("E", "a", "j"))
    plan = make_plan(new, owning(old))
    assert plan.codes == ("lose-keys",)
    assert [type(it.change) for it in plan.steps] == [Unbind]
    safe = make_plan(new, owning(old), allowed=())
    assert not safe.steps
    assert [it.code for it in safe.held] == ["lose-keys"]


def test_keys_that_a_policy_lets_fall_no_more_need_leave() -> None:
    text = """
topology: t
exchanges: {e: {type: topic}, rest: {type: fanout}, other: {type: fanout}}
queues: {a: {exchange: e, binding_key: "a.#"}, b: {exchange: rest}}
policies: {fall: {pattern: '^e$', apply_to: exchanges, definition: {%s}}}
"""
    to_rest = "alternate_exchange: rest"
    old = named(compile_text(text % to_rest).topology)
    for definition in ("alternate_exchange: other", "alternate_exchange: amq.fanout"):
        new = named(compile_text(text % definition).topology)
        plan = make_plan(new, owning(old))
        assert plan.codes == ("lose-keys",)
        assert "reach no queue then" in as_text(plan)
        assert not make_plan(new, owning(old), allowed=()).pending
    back = make_plan(old, owning(named(compile_text(text % "alternate_exchange: other").topology)))
    assert not back.codes


def test_an_exchange_made_anew_without_its_alternate_needs_leave_for_the_keys_that_fell() -> None:
    text = """
topology: t
exchanges: {e: {type: %s%s}, rest: {type: fanout}}
queues: {a: {exchange: e, binding_key: a}, b: {exchange: rest}}
"""
    old = named(compile_text(text % ("topic", ", alternate_exchange: rest")).topology)
    for kind, alternate, codes in (
        ("direct", "", ("lose-keys", "replace-exchange")),
        ("direct", ", alternate_exchange: rest", ("replace-exchange",)),
    ):
        new = named(compile_text(text % (kind, alternate)).topology)
        assert make_plan(new, owning(old)).codes == codes
        without = make_plan(new, owning(old), allowed=("replace-exchange",))
        assert bool(without.pending) == ("lose-keys" not in codes)


def test_what_is_delayed_moves_in_one_step_where_its_delay_ends() -> None:
    text = """
topology: shop
exchanges: {tasks: {type: topic}}
queues: {%s: {exchange: tasks, binding_key: "video.#"}, rest: {exchange: tasks, binding_key: r}}
delays: {resolution: 1s, max: 30d}
tasks: {videos: {exchange: tasks, routing_key: video.cut}}
"""
    found = [named(compile_text(text % it).topology) for it in ("video", "films")]
    old, new = map(with_delays, found)
    plan = make_plan(new, owning(old))
    assert not plan.undecided
    assert not plan.violations
    assert "(proved)" in as_text(plan)
    assert found[0].delays is not None
    names = ladder_names("shop", found[0].delays, found[0].target)
    key = ".".join([*"0" * found[0].delays.bits, "tasks", "video", "cut"])
    assert ways(plan, old, key, names.last_stop) == [("video",), ("films",)]
    assert ways(plan, old, key, names.level(0)) == [("video",), ("films",)]


def test_what_is_wrong_with_a_ladder_is_not_walked_and_that_is_said() -> None:
    text = "topology: shop\nqueues: {work: {}}\ndelays: {resolution: 1s, max: 30d}\n"
    whole = with_delays(named(compile_text(text).topology))
    without = [it for it in whole.bindings if not it.source.name.endswith(".3")]
    plan = make_plan(whole, owning(replace(whole, bindings=tuple(without))))
    assert plan.undecided == ("shop.delay.*",)
    assert "(proved)" not in as_text(plan)


def test_beside_an_alternate_exchange_only_what_matches_the_same_keys_is_copied() -> None:
    others = [("E", f"q{number}", f"other.{number}") for number in range(50)]
    old = topology(("E", "a", "k.#"), ("E", "c", "#.x"), ("F", "rest", "#"), *others, alternate="F")
    new = topology(("E", "b", "k.#"), ("E", "c", "#.x"), ("F", "rest", "#"), *others, alternate="F")
    plan = make_plan(new, owning(old))
    assert not plan.violations
    assert plan.carried_over == ("E",)
    bound = [it.change.binding for it in plan.pending if isinstance(it.change, Bind)]
    copied = [it for it in bound if it.source.name.startswith("routewright.")]
    ends = [it.destination.name for it in copied if isinstance(it.destination, Queue)]
    assert sorted(ends) == ["a", "b", "c", "c"]
    assert ways(plan, old, "k.x") == [("a", "c"), ("b", "c")]
    assert ways(plan, old, "other.x") == [("c",)]
    assert ways(plan, old, "none") == [("rest",)]


def named(topology: Topology | None) -> Topology:
    assert topology is not None
    return topology
