"""An order of changes in which no key is lost or doubled on the way, or where there is none.

Make comes before break: what is new is created and bound, what is bound to what was there already
follows, and removing comes last, of a queue before the ways that its messages may still take. Every
change of the routing is tried on the routing core first. One that would send a key wrong waits
until others have made it harmless; what still waits in the end is carried over by exchanges that
stand in (standins.py), in one step for each exchange that messages are published to. The whole
sequence is then walked through from its beginning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from routewright.compiler.analysis.compare import Difference
from routewright.compiler.model.topology import Exchange, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.violation import Violation
from routewright.compiler.planner.draining import Draining, draining
from routewright.compiler.planner.simulate import Simulation
from routewright.compiler.planner.simulated_host import Identity
from routewright.compiler.planner.standins import carry_over
from routewright.compiler.rabbitmq.policy_keys import ALTERNATE_EXCHANGE


@dataclass(frozen=True, slots=True)
class Ordered:
    """Changes in their order, and what is known of the moments between them.

    `violations` are by the place of the change after which a key goes wrong. Of the exchanges in
    `undecided` nothing is proved.
    """

    changes: tuple[Change, ...]
    violations: tuple[tuple[int, Violation], ...] = ()
    undecided: tuple[str, ...] = ()
    carried_over: tuple[str, ...] = ()  # the exchanges that needed others to stand in
    differences: tuple[Difference, ...] = ()  # the keys that go elsewhere in the end
    lossy: frozenset[Identity] = frozenset()  # bindings of keys that are not delivered in the end
    number: int | None = None  # of the stand-ins


def order(
    before: Topology,
    changes: Iterable[Change],
    owner: str,
    number: int | None = None,
    exclusive: Collection[str] = (),
) -> Ordered:
    """Put changes in order.

    Args:
        before: what is there.
        changes: in any order; none refers to what neither is there nor is created by another.
        owner: the topology's name, for what stands in.
        number: of what stands in; the first free one unless given.
        exclusive: queues of other connections, which nobody else may bind.
    """
    changes = [*changes]
    if not changes:
        return Ordered(())
    created = {it.exchange.name for it in changes if isinstance(it, kinds.DeclareExchange)}
    drained = draining(before, changes)
    natural = sorted(changes, key=lambda it: _rank(it, created, drained))
    done, waiting, simulation = _greedily(before, natural, drained.late)
    carried: tuple[str, ...] = ()
    used: int | None = None
    if waiting:
        flip = carry_over(simulation, waiting, owner, number, exclusive)
        if flip is not None:
            carried, used = flip.exchanges, flip.number
            settled = {id(it) for it in flip.settled}
            rest = [it for it in waiting if id(it) not in settled]
            done, waiting, _ = _greedily(before, rest, drained.late, after=[*done, *flip.changes])
    return replace(judged(before, [*done, *waiting], carried), number=used)


def _greedily(
    before: Topology,
    changes: Sequence[Change],
    late: Collection[int],
    after: Sequence[Change] = (),
) -> tuple[list[Change], list[Change], Simulation]:
    """Take every change that sends no key wrong, in passes until none is left or none can be."""
    simulation = Simulation(before, [*after, *changes])
    done = [*after]
    for change in after:
        simulation.take(change)
    ends = [it for it in changes if _is_last(it) or id(it) in late]
    waiting = [it for it in changes if not (_is_last(it) or id(it) in late)]
    while waiting:
        left: list[Change] = []
        for change in waiting:
            if simulation.trouble(change):
                left.append(change)
            else:
                simulation.take(change)
                done.append(change)
        if len(left) == len(waiting):
            break
        waiting = left
    if not waiting:
        return [*done, *ends], [], simulation
    return done, [*waiting, *ends], simulation


def judged(before: Topology, changes: Sequence[Change], carried: tuple[str, ...] = ()) -> Ordered:
    """Changes in an order that is given, walked through from the beginning."""
    simulation = Simulation(before, changes)
    violations: list[tuple[int, Violation]] = []
    for place, change in enumerate(changes):
        violations += [(place, it) for it in simulation.troubles(change)]
        simulation.take(change)
    return Ordered(
        tuple(changes),
        tuple(violations),
        tuple(simulation.undecided),
        carried,
        tuple(simulation.differences()),
        simulation.lossy(),
    )


def _is_last(change: Change) -> bool:
    return isinstance(
        change,
        (
            kinds.RemoveQueue,
            kinds.RemoveExchange,
            kinds.Disown,
            kinds.Replace,
            kinds.Move,
            kinds.Release,
        ),
    )


def _rank(change: Change, created: Collection[str], drained: Draining) -> tuple[int, int]:
    """Returns the default position of a change: create, bind, unbind, remove."""
    if id(change) in drained.late:
        return 11, 0
    match change:
        case kinds.Own():
            return 0, 0
        case kinds.SetPolicy(
            policy
        ):  # before what it is for is created, but after what it leads to
            if ALTERNATE_EXCHANGE in policy.definition:
                return 6, 0
            return (4, 2) if "dead-letter-exchange" in policy.definition else (1, 0)
        case kinds.DeclareExchange():
            return 2, 0
        case kinds.DeclareQueue():
            return 3, 0
        case kinds.Bind(binding):  # what leads to an exchange comes after what leads away from it
            rank = 4 if binding.source.name in created else 5
            return rank, int(isinstance(binding.destination, Exchange))
        case kinds.Unbind(binding):
            return 7, int(not isinstance(binding.destination, Exchange))
        case kinds.RemovePolicy():
            return 8, 0
        case kinds.Replace():
            return 9, 0
        case kinds.RemoveQueue(queue) if queue.name in drained.places:
            return 10, 1 + drained.places[queue.name]
        case (
            kinds.Release() | kinds.Move() | kinds.RemoveQueue()
        ):  # of one queue, in the order given
            return 10, 0
        case kinds.RemoveExchange():
            return 12, 0
        case kinds.Disown():
            return 13, 0


def violating(sequence: Ordered) -> Iterator[Violation]:
    """The first violation of each kind on each exchange."""
    seen: set[tuple[str, str]] = set()
    for _, it in sequence.violations:
        if (it.harm, it.exchange) not in seen:
            seen.add((it.harm, it.exchange))
            yield it
