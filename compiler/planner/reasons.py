"""Says of each step why it is made and what it could destroy, and of a plan what is to be known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from routewright.compiler.model.topology import Exchange, Queue, Topology
from routewright.compiler.plan import changes as kinds
from routewright.compiler.plan.changes import Change
from routewright.compiler.plan.plan import Step
from routewright.compiler.plan.standin_names import is_stand_in
from routewright.compiler.plan.virtual_host import VirtualHost
from routewright.compiler.planner.differences import Differences, conflicts_between
from routewright.compiler.planner.needed_approvals import NeededApprovals
from routewright.compiler.planner.order import Ordered
from routewright.compiler.planner.replacing import obstacle, senders

_MOST_NAMED = 5


class Describer:
    """Says of each change why it is made, and what it could destroy."""

    def __init__(
        self, host: VirtualHost, first: VirtualHost, wanted: Topology, approvals: NeededApprovals
    ) -> None:
        self._host, self._first, self._wanted, self._approvals = host, first, wanted, approvals
        self._bound = {it.identity for it in wanted.bindings}

    def step(self, change: Change) -> Step:
        """The step that makes a change."""
        return Step(
            change,
            self._why(change),
            self._destroys(change),
            self._approvals.of(change),
            withheld=isinstance(change, kinds.Replace)
            and obstacle(change, self._host, self._wanted) is not None,
        )

    def _why(self, change: Change) -> str:
        if _stands_in(change):
            return "stands in while bindings change"
        match change:
            case kinds.Own():
                return "to know it again when it is declared no more"
            case kinds.DeclareExchange() | kinds.DeclareQueue():
                return "declared, and not there"
            case kinds.Bind(_, new):
                return "declared, and not there" if new else "declared, and AMQP cannot tell"
            case kinds.Unbind(binding):
                again = binding.identity in self._bound
                return "made again once it leads elsewhere" if again else "not declared any more"
            case kinds.SetPolicy(policy):
                there = policy.name in self._host.topology.policies
                return "declared otherwise" if there else "declared, and not there"
            case kinds.Replace(old, new):
                what = ", ".join(_differing(old, new))
                why = obstacle(change, self._host, self._wanted)
                return f"{what} cannot be changed" + (f", and {why}" if why else "")
            case kinds.RemoveQueue(queue) if queue.name in self._wanted.queues:
                return self._why_anew(queue, self._wanted.queues[queue.name])
            case kinds.RemoveExchange(exchange) if exchange.name in self._wanted.exchanges:
                return self._why_anew(exchange, self._wanted.exchanges[exchange.name])
            case kinds.Release(queue):
                return _who_leaves(self._first, queue)
            case kinds.Move():
                return "each confirmed there before it is gone here"
            case kinds.RemoveExchange() | kinds.RemoveQueue() | kinds.RemovePolicy():
                return "owned, and not declared any more"
            case kinds.Disown():
                return "not declared any more"

    def _why_anew(self, old: Exchange | Queue, new: Exchange | Queue) -> str:
        return f"{', '.join(_differing(old, new))} cannot be changed, and it is made anew"

    def _destroys(self, change: Change) -> str:
        match change:
            case kinds.RemoveQueue(queue):
                return f"{self._counts(queue)}; {_how_removed(queue)}"
            case kinds.RemoveExchange(exchange) if exchange.name in self._wanted.exchanges:
                return f"publishing to `{exchange.name}` fails with 404 until the next step"
            case kinds.RemoveExchange(exchange) if not is_stand_in(exchange.name):
                return f"publishing to `{exchange.name}` fails with 404 from then on"
            case kinds.DeclareExchange() if self._approvals.of(change) == "lose-keys":
                return "keys that fell to its alternate exchange reach no queue in the end"
            case kinds.DeclareExchange() | kinds.DeclareQueue() if self._approvals.of(change):
                thing = (
                    change.exchange if isinstance(change, kinds.DeclareExchange) else change.queue
                )
                lost = ", ".join(senders(thing, self._host.topology, self._wanted))
                return f"lost if it comes between this step and the last: {lost}"
            case kinds.Replace(Queue() as queue, _):
                return self._counts(queue)
            case kinds.Replace(Exchange() as exchange, _):
                return f"publishing to `{exchange.name}` fails with 404 while it is made anew"
            case kinds.Unbind(binding) if self._approvals.of(change) == "remove-exchange":
                name = binding.destination.name
                return f"what is still published to `{binding.source.name}` misses `{name}`"
            case kinds.Unbind(binding) if self._approvals.of(change):
                return f"keys that match `{binding.key}` reach no queue from then on"
            case kinds.RemovePolicy(policy) if not _stands_in(change):
                loses = f"what it matches loses {', '.join(sorted(policy.definition))}"
                over = self._over_limit(self._approvals.tightened_by(policy))
                return f"{loses}; {over}" if over else loses
            case kinds.SetPolicy(policy) if self._approvals.of(change) == "remove-policy":
                return "a queue that is not declared any more loses its dead-letter exchange"
            case kinds.SetPolicy() if self._approvals.of(change) == "lose-keys":
                key = self._approvals.fallen
                return f"keys that fell to an alternate exchange, as `{key}`, reach no queue then"
            case kinds.SetPolicy(policy):
                return self._over_limit(self._approvals.tightened_by(policy))
            case kinds.Move(queue) if self._approvals.of(change):
                return self._over_limit([queue.name])
            case _:
                return ""

    def _over_limit(self, queues: Sequence[str]) -> str:
        counts = (f"`{it}` has {self._first.counts_of(it).messages}" for it in queues[:_MOST_NAMED])
        return f"messages over the new limit: {', '.join(counts)}" if queues else ""

    def _counts(self, queue: Queue) -> str:
        counts = self._first.counts_of(queue.name)
        messages = f"{counts.messages:,} message{'' if counts.messages == 1 else 's'}"
        return f"{messages}, {counts.consumers} consumer{'' if counts.consumers == 1 else 's'}"


def _who_leaves(host: VirtualHost, queue: Exchange | Queue) -> str:
    if queue.name not in host.topology.queues:
        return "those that have moved there"
    workers, others = host.workers_of(queue.name)
    told = f"{workers} consumer{'' if workers == 1 else 's'} of workers told to move"
    return f"{told}, {others} other{'' if others == 1 else 's'} waited for"


def _how_removed(queue: Queue) -> str:
    if queue.type == "classic":
        return "refused by the broker unless empty and unused"
    return (
        f"refused unless empty and unused, which of a {queue.type} queue is seen right before: "
        "what the default exchange puts there in that moment goes with it"
    )


def _differing(old: Exchange | Queue, new: Exchange | Queue) -> Iterator[str]:
    for it in conflicts_between(old, new):
        yield f"`{it.argument}`"


def _stands_in(change: Change) -> bool:
    names: tuple[str, ...] = ()
    match change:
        case kinds.Bind(binding) | kinds.Unbind(binding):
            names = (binding.source.name, binding.destination.name)
        case kinds.DeclareExchange(exchange) | kinds.RemoveExchange(exchange):
            names = (exchange.name,)
        case kinds.Own(_, _, name) | kinds.Disown(_, _, name):
            names = (name,)
        case kinds.DeclareQueue(queue) | kinds.RemoveQueue(queue):
            names = (queue.name,)
        case kinds.SetPolicy(policy) | kinds.RemovePolicy(policy):
            names = (policy.name,)
        case _:
            pass
    return any(is_stand_in(it) for it in names)


def notes(
    found: Differences,
    host: VirtualHost,
    parts: Iterable[Ordered],
    replaced: Collection[kinds.Replace],
) -> Iterator[str]:
    """Yields what a reader of a plan has to know beside its steps."""
    yield from host.unseen
    for replacement in replaced:
        yield _of_replacement(replacement, host)
    yield from _of_kept_types(found, {it.new.name for it in replaced})
    if found.unowned:
        yield _of_unowned(found)
    parts = [*parts]
    for exchange in {name: None for part in parts for name in part.carried_over}:
        yield (
            f"the bindings of exchange `{exchange}` cannot change one by one without losing or "
            "doubling a key, so that exchanges stand in for it meanwhile"
        )
    for exchange in {name: None for part in parts for name in part.undecided}:
        yield (
            f"nothing is proved of exchange `{exchange}`: its keys fall into too many classes, or "
            "meet an exchange of a plugin's type"
        )


def _of_replacement(change: kinds.Replace, host: VirtualHost) -> str:
    if isinstance(change.new, Exchange):
        return (
            f"{change} is made anew: publishers are told 404 by the broker for a moment, and have "
            "to publish again what was not confirmed"
        )
    return (
        f"{change} is replaced: {_who_leaves(host, change.old)}, before anything is changed. What "
        "is published to it by name through the default exchange while it is made anew "
        "reaches no queue; messages that wait in it come after newer ones"
    )


def _of_kept_types(found: Differences, replaced: Collection[str]) -> Iterator[str]:
    for conflict in found.conflicts:
        if conflict.argument == "type" and conflict.name not in replaced:
            yield (
                f"exchange `{conflict.name}` keeps its bindings as they are until its type is "
                "changed: those that are declared mean something else to it"
            )


def _of_unowned(found: Differences) -> str:
    listed = ", ".join(f"{kind} `{name}`" for kind, name in found.unowned[:_MOST_NAMED])
    left = len(found.unowned) - _MOST_NAMED
    more = f" and {left} more" if left > 0 else ""
    return (
        f"not owned, and therefore never removed: {listed}{more}; --adopt takes over what is there"
    )
